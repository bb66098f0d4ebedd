"""Signed tokens (JWT, RFC 7519) of configured issuers, such as Kubernetes' projected ServiceAccount tokens."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from pydantic import Field, field_validator

from backdrop.contract.access import expired_credentials, unknown_credentials
from orchestrator.identity.jwks import KeyLocation

LONGEST = 8192
"""Characters of a token; gRPC takes no more metadata by default."""
# Signatures by a private key alone. With HMAC, who can check a token could also make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")


class Issuer(KeyLocation):
    """An issuer whose tokens are taken."""

    name: str = Field(min_length=1)
    """What rules and records call it."""
    issuer: str = Field(min_length=1)
    """The claim `iss`."""
    audience: str = Field(min_length=1)
    """One of the claim `aud`: a token for another service is not taken."""
    algorithms: tuple[str, ...] = Field(min_length=1)
    """The signatures that are taken, whatever a token's header says."""
    leeway_s: int = Field(30, ge=0, le=300)
    """How far the clocks of issuer and server may differ."""

    @field_validator("algorithms")
    @classmethod
    def _are_asymmetric(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(values) - set(ALGORITHMS))
        if unknown:
            raise ValueError(f"has {unknown[0]!r}; algorithms are {', '.join(ALGORITHMS)}")
        return values

    @property
    def location(self) -> KeyLocation:
        """Where its keys are."""
        return KeyLocation(jwks=self.jwks, ca_file=self.ca_file, token_file=self.token_file)


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a token proves."""

    subject: str
    expires: float
    """In seconds since 1970, leeway included."""


class UnknownKeyError(Exception):
    """The token names a key that its issuer did not have when its keys were read."""


def issuer_of(token: str) -> str:
    """The issuer that a token names, unverified; "" if it is no JWT."""
    parts = token.split(".")
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)) if len(parts) == 3 else b"{}"
        issuer = json.loads(payload).get("iss", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return issuer if isinstance(issuer, str) else ""


def verify(token: str, issuer: Issuer, keys: KeySet, now: float) -> Verified:
    """What the token proves at the time `now`.

    Raises:
        UnauthenticatedError: signature, issuer, audience, time or subject are not right.
        UnknownKeyError: the key is not among `keys`.
    """
    essential: dict[str, Any] = {
        "iss": {"essential": True, "value": issuer.issuer},
        "aud": {"essential": True, "value": issuer.audience},
        "exp": {"essential": True},
        "sub": {"essential": True},
    }
    try:
        claims = jwt.decode(token, keys, algorithms=issuer.algorithms).claims
        jwt.JWTClaimsRegistry(now=int(now), leeway=issuer.leeway_s, **essential).validate(claims)
    except InvalidKeyIdError:
        raise UnknownKeyError from None
    except ExpiredTokenError:
        raise expired_credentials() from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise unknown_credentials() from None
    return Verified(claims["sub"], float(claims["exp"]) + issuer.leeway_s)
