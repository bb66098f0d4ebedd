"""The component `identity`: its files are where its settings say, and a caller's token reaches the orchestrator."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

import backdrop
from orchestrator.identity.access import Access
from orchestrator.settings import Settings
from tests.certificates import HOST, Authority, replace
from tests.k8s.rendering import Manifest, combine, of, pod, settings
from tests.orchestrator.identity.guarded import Site


def manifests(folder: Path) -> list[Manifest]:
    return combine(folder, "production", ("gateway", "identity", "identity/gateway"))


def test_its_settings_are_taken_and_name_files_that_are_mounted(tmp_path: Path) -> None:
    rendered = manifests(tmp_path)
    chosen = settings(rendered)
    values = {name.removeprefix("BACKDROP_").lower(): value for name, value in chosen.items()}
    server = Settings.model_validate(values)
    assert server.identifies
    assert not server.allow_anonymous
    assert not server.serves_reflection
    spec = pod(of(rendered, "Deployment", "orchestrator")[0])
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for file in (server.tls_cert_file, server.tls_key_file, server.token_keys_file, server.access_file):
        mount = mounts[str(file.parent)]  # type: ignore[union-attr]  # set
        assert mount["readOnly"]
        assert "subPath" not in mount, "the kubelet does not replace such a file"
        assert mount["name"] in volumes
    port = int(server.health_listen.rpartition(":")[2])
    assert {container[probe]["grpc"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {port}
    (certificate,) = of(rendered, "Certificate", "orchestrator")
    assert volumes["tls"]["secret"]["secretName"] == certificate["spec"]["secretName"]
    (policy,) = of(rendered, "BackendTLSPolicy")
    assert policy["spec"]["validation"]["hostname"] in certificate["spec"]["dnsNames"]
    assert of(rendered, "Service", "orchestrator")[0]["spec"]["ports"][0]["appProtocol"] == "https"


def test_a_namespace_is_a_tenant(tmp_path: Path) -> None:
    (config,) = of(manifests(tmp_path), "ConfigMap", "orchestrator-access")
    access = Access.model_validate(tomllib.loads(config["data"]["access.toml"]))
    (issuer,) = access.issuers
    caller = access.by_subject(issuer, "system:serviceaccount:shop-a:web")
    assert caller is not None
    assert (caller.tenant, caller.scopes) == ("shop-a", {"generate", "info"})
    assert access.by_subject(issuer, "system:node:shop") is None
    assert access.by_certificate(["CN:shop"]) is None


@contextlib.asynccontextmanager
async def gateway(site: Site, outside: Authority, port: int) -> AsyncIterator[str]:
    """Ends the callers' TLS and begins its own to the orchestrator, as the Gateway and the BackendTLSPolicy say."""
    certificate, key = outside.issue("gateway").write(site.folder, "gateway")
    serving, calling = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=site.ca)
    serving.load_cert_chain(certificate, key)
    for context in (serving, calling):
        context.set_alpn_protocols(["h2"])

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, port, ssl=calling)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(accept, HOST, 0, ssl=serving)
    yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_behind_the_gateway_the_token_still_says_the_tenant(tmp_path: Path) -> None:
    """The component's own rule, with the keys of an issuer that is here."""
    (config,) = of(manifests(tmp_path / "site"), "ConfigMap", "orchestrator-access")
    rules = "[[rules]]" + config["data"]["access.toml"].partition("[[rules]]")[2]
    site, outside = Site(tmp_path / "files"), Authority("outside")
    access = site.access.read_text().partition("[[rules]]")[0] + rules
    replace(site.access, access)
    token = replace(site.folder / "token", site.issuer.sign("system:serviceaccount:shop-a:web"))
    ca = replace(site.folder / "outside.crt", outside.certificate)
    async with site.serve() as running, gateway(site, outside, running.server.port) as address:
        credentials = backdrop.Credentials(ca_file=ca, token_file=token)
        async with backdrop.AsyncClient(address, credentials=credentials, retries=0) as client:
            with structlog.testing.capture_logs() as logs:
                await client.generate(backdrop.TextToImage(), prompt="a beach", steps=1)
                await asyncio.sleep(0.2)
    assert [record["tenant"] for record in logs if record["event"] == "request"] == ["shop-a"]
