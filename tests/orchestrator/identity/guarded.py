"""A server with identities over plain functions: its files, its callers' credentials, and a channel to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from orchestrator.api.doors import Doors
from orchestrator.concurrency import cancelled
from orchestrator.identity.authenticator import Authenticator
from orchestrator.identity.keys import Key, new_key
from tests.certificates import HOST, Authority, TokenIssuer, replace
from tests.orchestrator.api.test_service import Running

RULES = """
[[issuers]]
name = "cluster"
issuer = "https://issuer.example"
audience = "backdrop"
jwks = "{folder}/jwks.json"
algorithms = ["ES256"]

[[rules]]
issuer = "cluster"
subject = "system:serviceaccount:(?P<tenant>[a-z-]+):info"
scopes = ["info"]

[[rules]]
issuer = "cluster"
subject = "system:serviceaccount:(?P<tenant>[a-z-]+):small"
scopes = ["generate:small"]

[[rules]]
issuer = "cluster"
subject = "system:serviceaccount:(?P<tenant>[a-z-]+):.*"
scopes = ["generate", "info", "admin"]

[[rules]]
certificate = "CN:(?P<tenant>[a-z]+)-caller"
scopes = ["generate", "info"]

[[rules]]
certificate = "URI:spiffe://site/(?P<tenant>[a-z]+)/reader"
scopes = ["info"]
"""


class Site:
    """The files of a server with TLS, keys and an issuer, in a folder; and what its callers need."""

    def __init__(self, folder: Path, rules: str = RULES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.authority, self.issuer = folder, Authority(), TokenIssuer()
        self.server = self.authority.issue("server").write(folder, "server")
        self.ca = replace(folder / "ca.crt", self.authority.certificate)
        self.keys: list[Key] = []
        self.write_keys()
        self.write_jwks()
        self.access = replace(folder / "access.toml", rules.format(folder=folder))

    def key(self, name: str, *scopes: str, tenant: str = "shop", expires: Any = None) -> str:
        """A new key, which is in the file when this returns."""
        token, key = new_key(name, tenant, scopes, expires)
        self.keys.append(key)
        self.write_keys()
        return token

    def write_keys(self) -> None:
        """Writes the file of keys."""
        entries = [key.model_dump(mode="json") for key in self.keys]
        self.keys_file = replace(self.folder / "keys.json", json.dumps({"keys": entries}))

    def write_jwks(self) -> None:
        """Writes the issuer's public keys."""
        replace(self.folder / "jwks.json", self.issuer.jwks())

    def settings(self, *, mutual: bool = False, **changes: Any) -> dict[str, Any]:
        """The settings of the server."""
        certificate, key = self.server
        values: dict[str, Any] = {"tls_cert_file": certificate, "tls_key_file": key, "access_file": self.access}
        values |= {"tls_client_ca_file": self.ca} if mutual else {}
        return values | {"token_keys_file": self.keys_file, **changes}

    @contextlib.asynccontextmanager
    async def serve(self, *, mutual: bool = False, **changes: Any) -> AsyncIterator[Running]:
        """The server, ready."""
        settings = self.settings(mutual=mutual, **changes)
        authenticator = Authenticator(settings["token_keys_file"], settings["access_file"])
        await authenticator.open()
        fresh = asyncio.create_task(authenticator.keep_fresh())
        running = Running(
            Path(tempfile.mkdtemp(dir=self.folder)), Doors(authenticator, certificates=mutual), **settings
        )
        await running.server.start()
        await running.open()
        try:
            yield running
        finally:
            await running.server.stop(running.admission, 1.0)
            await cancelled(fresh)

    def channel(self, running: Running, certificate: str = "", uri: str = "") -> grpc.aio.Channel:
        """A channel to the server, with a client certificate of that name."""
        pair = self.authority.issue(certificate or "nobody", uri) if certificate or uri else None
        shown = (pair.key, pair.certificate) if pair else ()
        credentials = grpc.ssl_channel_credentials(self.authority.certificate, *shown)
        return grpc.aio.secure_channel(f"{HOST}:{running.server.port}", credentials)


def bearer(token: str) -> Sequence[tuple[str, str]]:
    """The metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"),)
