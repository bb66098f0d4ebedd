"""The server's side of TLS: certificate, key and the clients' authorities from files, which connections see at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from orchestrator.identity.files import WatchedFiles


@dataclasses.dataclass(frozen=True)
class TlsFiles:
    """PEM files.

    Attributes:
        certificate: the server's certificate, then those between it and the authority.
        key: its private key, without a passphrase.
        client_ca: the authorities of client certificates; None if clients need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that read the files again when they change.

    gRPC asks for the certificate before each handshake. Connections that are open keep the certificate they began with
    and lose no stream; `grpc.max_connection_age_ms` ends them.

    Raises:
        IdentityError: a file cannot be read, or key and certificate do not belong together.
    """
    paths = [path for path in (files.certificate, files.key, files.client_ca) if path]
    watched = WatchedFiles("BACKDROP_TLS_CERT_FILE", _read, *paths)

    def changed() -> grpc.ServerCertificateConfiguration | None:
        return watched.value if watched.refresh() else None

    require = files.client_ca is not None
    return grpc.dynamic_ssl_server_credentials(watched.value, changed, require)  # type: ignore[arg-type]  # None is taken


def _read(certificate_file: Path, key_file: Path, client_ca: Path | None = None) -> grpc.ServerCertificateConfiguration:
    certificate, key = certificate_file.read_bytes(), key_file.read_bytes()
    authorities = client_ca.read_bytes() if client_ca else None
    try:
        private = load_pem_private_key(key, None)
    except (TypeError, ValueError):
        raise ValueError(f"{key_file} holds no private key in PEM, or one with a passphrase") from None
    # During a rotation one of the two files is new and the other is old: gRPC would fail every handshake with them.
    if _certificates(certificate_file, certificate)[0].public_key() != private.public_key():
        raise ValueError(f"{certificate_file} is not the certificate of {key_file}")
    if client_ca is not None and authorities is not None:
        _certificates(client_ca, authorities)
    return grpc.ssl_server_certificate_configuration([(key, certificate)], authorities)


def _certificates(path: Path, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError(f"{path} holds no certificate in PEM") from None


def names_of(auth_context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """The names of a verified client certificate, as rules write them: "CN:…", "DNS:…", "URI:…"."""
    kinds = (("CN", "x509_common_name"), ("URI", "peer_uri"), ("DNS", "peer_dns"))
    # A name that is not UTF-8 must not match by what it is replaced by.
    names = [(kind, name) for kind, key in kinds for name in auth_context.get(key, ()) if _is_text(name)]
    return tuple(f"{kind}:{name.decode()}" for kind, name in names)


def _is_text(name: bytes) -> bool:
    try:
        return name.decode().isprintable()
    except UnicodeDecodeError:
        return False
