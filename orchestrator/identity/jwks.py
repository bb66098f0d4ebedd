"""The public keys of a token's issuer (JWKS, RFC 7517), from a file or a URL that is read again when it changes."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, field_validator

from backdrop.contract.loopback import is_loopback

log = structlog.get_logger("orchestrator.identity")
_TIMEOUT_S = 5.0
_LARGEST_BYTES = 1 << 20
_REFRESH_S = 300.0
"""How often a URL is fetched. A file is looked at each time."""
_LEAST_S = 5.0
"""Between two fetches because of an unknown key: a caller who invents key names must not flood the issuer."""


class KeyLocation(BaseModel):
    """Where an issuer's keys are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    jwks: str
    """A path, or an https URL."""
    ca_file: Path | None = None
    """Certificates that the URL's server is trusted by; none = those of the system."""
    token_file: Path | None = None
    """A bearer token for the URL, which Kubernetes' API server needs; read for each fetch."""

    @field_validator("jwks")
    @classmethod
    def _is_private(cls, value: str) -> str:
        parts = urlsplit(value)
        if "://" in value and parts.scheme != "https" and not is_loopback(f"{parts.hostname}:0"):
            raise ValueError(f"is {value!r}; write a path or an https URL: who changes these keys decides who comes in")
        return value


class KeySource:
    """Keeps the keys of one location; `keys` is None until they were read once."""

    def __init__(self, location: KeyLocation, clock: Callable[[], float] = time.monotonic) -> None:
        self.location = location
        self.keys: KeySet | None = None
        self._clock = clock
        self._looked = -_REFRESH_S
        self._content = b""
        self._failure = ""

    @property
    def remote(self) -> bool:
        """Whether the location is a URL."""
        return "://" in self.location.jwks

    def refresh(self, *, unknown_key: bool = False) -> bool:
        """Reads the keys again if it is time; returns whether they are new. Blocks, at most 5 s.

        If they cannot be read, the earlier ones stay: an issuer that is away must not lock its callers out.
        """
        if self.remote and self._clock() - self._looked < (_LEAST_S if unknown_key else _REFRESH_S) and self.keys:
            return False
        if self.remote and self._clock() - self._looked < _LEAST_S:
            return False
        self._looked = self._clock()
        try:
            content = _fetched(self.location) if self.remote else Path(self.location.jwks).read_bytes()
            if content == self._content:
                return False
            keys = KeySet.import_key_set(json.loads(content))
        except (OSError, ValueError, KeyError, TypeError, JoseError) as problem:
            self._tell(str(problem))
            return False
        self.keys, self._content, self._failure = keys, content, ""
        return True

    def _tell(self, failure: str) -> None:
        if failure != self._failure:
            self._failure = failure
            log.warning("issuer's keys not read", jwks=self.location.jwks, why=failure)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from https, with the bearer token."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _fetched(location: KeyLocation) -> bytes:
    """The keys behind a URL; raises OSError or ValueError."""
    context = ssl.create_default_context(cafile=location.ca_file)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects())
    request = urllib.request.Request(location.jwks, headers={"Accept": "application/json"})  # noqa: S310  (checked above)
    if location.token_file is not None:
        request.add_unredirected_header("Authorization", f"Bearer {location.token_file.read_text().strip()}")
    with opener.open(request, timeout=_TIMEOUT_S) as response:
        content: bytes = response.read(_LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"more than {_LARGEST_BYTES} bytes")
    return content
