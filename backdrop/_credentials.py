"""What a client shows and whom it trusts: certificates and tokens, from files that may be replaced while it runs."""

from __future__ import annotations

import dataclasses
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import grpc

from backdrop.contract.access import authorization
from backdrop.contract.loopback import is_loopback
from backdrop.errors import BackdropError, Reason, error

Stamp = tuple[tuple[int, int, int], ...]
"""Changes when a file is written, or replaced by another one."""


@dataclasses.dataclass(frozen=True)
class Credentials:
    """How a client connects and who it is. Without any argument: plain text, and nobody.

    ```python
    backdrop.Client("backdrop.example.com:443", credentials=backdrop.Credentials(tls=True, token_file="token"))
    ```

    Files are read again when they change: a token for the next call, certificates for the next connection. Calls that
    run are not disturbed.

    Args:
        tls: whether to use TLS. It is used in any case if one of the next three is set.
        ca_file: PEM certificates that the server is trusted by. Default: those of the system.
        cert_file: PEM certificate of the client, with its chain, for servers that ask for one.
        key_file: PEM private key of `cert_file`.
        token: a bearer token: a key of the server, or a signed token (JWT).
        token_file: file with the token, such as a projected ServiceAccount token of Kubernetes.
        allow_plaintext: send the token without TLS to addresses other than loopback, where a proxy or a mesh encrypts.

    Raises:
        InvalidRequestError: arguments that exclude or need each other.
    """

    tls: bool = False
    ca_file: str | os.PathLike[str] | None = None
    cert_file: str | os.PathLike[str] | None = None
    key_file: str | os.PathLike[str] | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    token_file: str | os.PathLike[str] | None = None
    allow_plaintext: bool = False

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise _unusable("cert_file and key_file belong together; set both or none.")
        if self.token is not None and self.token_file is not None:
            raise _unusable("token and token_file exclude each other; set one of them.")
        if self.token is not None:
            _check_token(self.token, "token")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Credentials:
        """Those of BACKDROP_TLS, _CA_FILE, _CERT_FILE, _KEY_FILE, _TOKEN, _TOKEN_FILE and _ALLOW_PLAINTEXT."""

        def text(name: str) -> str | None:
            return environment.get(f"BACKDROP_{name}") or None

        def flag(name: str) -> bool:
            return (text(name) or "").lower() in ("1", "true", "yes", "on")

        return cls(
            tls=flag("TLS"),
            ca_file=text("CA_FILE"),
            cert_file=text("CERT_FILE"),
            key_file=text("KEY_FILE"),
            token=text("TOKEN"),
            token_file=text("TOKEN_FILE"),
            allow_plaintext=flag("ALLOW_PLAINTEXT"),
        )

    @property
    def secure(self) -> bool:
        """Whether TLS is used."""
        return self.tls or bool(self._files())

    def check_endpoint(self, endpoint: str, *, proxy: bool) -> None:
        """Raises InvalidRequestError if a token would travel in plain text beyond this machine."""
        token = self.token is not None or self.token_file is not None
        private = self.secure or self.allow_plaintext or (is_loopback(endpoint) and not proxy)
        if token and not private:
            raise _unusable(
                f"the token would be sent to {endpoint} in plain text; set tls=True or ca_file "
                "(BACKDROP_TLS, --tls), or allow_plaintext if a proxy or a mesh encrypts."
            )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a call carries; the file of the token is read now. Raises InvalidRequestError if it cannot be."""
        if self.token is not None:
            return (authorization(self.token),)
        if self.token_file is None:
            return ()
        return (
            authorization(_check_token(_read(self.token_file, "token_file").decode("latin-1").strip(), "token_file")),
        )

    def stamp(self) -> Stamp:
        """Changes when one of the certificates' files does. Raises InvalidRequestError if one is not there."""
        try:
            stats = [Path(path).stat() for path in self._files()]
        except OSError as problem:
            raise _unreadable("credentials", problem) from None
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def channel_credentials(self) -> grpc.ChannelCredentials | None:
        """For a new connection; None for plain text. Raises InvalidRequestError if a file is not usable."""
        if not self.secure:
            return None
        authorities = None if self.ca_file is None else _read(self.ca_file, "ca_file")
        if self.cert_file is None or self.key_file is None:
            return grpc.ssl_channel_credentials(authorities)
        certificate, key = _read(self.cert_file, "cert_file"), _read(self.key_file, "key_file")
        try:
            # In the middle of a rotation the two do not belong together, and no handshake would succeed.
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(self.cert_file, self.key_file, password="")
        except (OSError, ValueError):
            message = f"{self.cert_file} and {self.key_file} are not a certificate and its key in PEM."
            raise _unusable(message) from None
        return grpc.ssl_channel_credentials(authorities, key, certificate)

    def _files(self) -> list[str | os.PathLike[str]]:
        return [path for path in (self.ca_file, self.cert_file, self.key_file) if path is not None]


def _read(path: str | os.PathLike[str], field: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise _unreadable(field, problem) from None


def _check_token(token: str, field: str) -> str:
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise _unusable(f"{field} holds no token: one word of ASCII characters.")
    return token


def _unreadable(field: str, problem: OSError) -> BackdropError:
    return _unusable(f"{field} {problem.filename}: {problem.strerror}.")


def _unusable(message: str) -> BackdropError:
    return error(Reason.UNUSABLE_CLIENT, message)
