"""Certificates, keys and signed tokens for tests, made in memory by an authority and an issuer of their own."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import json
import secrets
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

HOST = "127.0.0.1"
_DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes NAME.crt and NAME.key, each in one move as a rotation does."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            replace(path, content)
        return paths


def replace(path: Path, content: bytes | str) -> Path:
    """Replaces a file in one move."""
    partial = path.with_name(path.name + ".new")
    partial.write_bytes(content.encode() if isinstance(content, str) else content)
    partial.replace(path)
    return path


class Authority:
    """A certificate authority."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key, datetime.timedelta(days=2))
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self.certificate = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, uri: str = "", lifetime: datetime.timedelta = _DAY) -> Pair:
        """A certificate for 127.0.0.1 and the DNS name NAME.example, signed by this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName(f"{name}.example")]
        names += [x509.UniformResourceIdentifier(uri)] if uri else []
        builder = _builder(_named(name), self._name, key, lifetime)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        kind, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private = key.private_bytes(kind, form, serialization.NoEncryption())
        return Pair(_pem(builder.sign(self._key, hashes.SHA256())), private)


class TokenIssuer:
    """Signs tokens as an OpenID provider does, or as Kubernetes for its ServiceAccounts."""

    url = "https://issuer.example"

    def __init__(self) -> None:
        self.keys = [self._new("first")]

    def rotate(self) -> None:
        """Signs with a new key from now on; the earlier ones stay in the set."""
        self.keys.append(self._new(secrets.token_hex(4)))

    def jwks(self) -> str:
        """The public keys."""
        return json.dumps(KeySet([*self.keys]).as_dict(private=False))

    def sign(self, subject: str, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token for Backdrop that is good for ten minutes; `claims` replace its own, None removes one."""
        now = int(time.time())
        values: dict[str, Any] = {"iss": self.url, "aud": "backdrop", "sub": subject, "iat": now, "exp": now + 600}
        values = {name: value for name, value in (values | claims).items() if value is not None}
        return jwt.encode({"alg": "ES256", "kid": self.keys[-1].kid, **(header or {})}, values, self.keys[-1])

    @staticmethod
    def _new(kid: str) -> ECKey:
        return ECKey.generate_key("P-256", {"kid": kid}, private=True)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lifetime) - _DAY)
        .not_valid_after(now + lifetime)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
