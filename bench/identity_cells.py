"""Every identity × method × scope over TLS: what a running server answers, against what it must answer.

What must be answered is written down here by hand; the code that enforces it has its own table.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from bench.figures import Figure, at_most
from tests.certificates import HOST, Authority, TokenIssuer
from tests.orchestrator.identity.guarded import Site, bearer

Code = grpc.StatusCode
SCOPES: Mapping[str, tuple[str, ...]] = {
    "generate": ("generate",),
    "small": ("generate:small",),
    "bare": ("generate:small-bare",),
    "info": ("info",),
    "admin": ("admin",),
    "all": ("generate", "info", "admin"),
}
"""The scopes of an identity, by the name that it has in the cells."""


@dataclasses.dataclass(frozen=True)
class Method:
    """A call, and the identities that may make it, by their scopes; None: everybody."""

    path: str
    message: bytes
    served_to: frozenset[str] | None


def _picture(pipeline: str) -> bytes:
    message = pb.GenerateRequest(text_to_image=pb.TextToImageTask())
    message.conditioning.prompt, message.sampling.pipeline, message.sampling.steps = "a beach", pipeline, 1
    return message.SerializeToString()


_GENERATE, _HEALTH = "/backdrop.v1.GenerationService/Generate", health_pb2.HealthCheckRequest().SerializeToString()
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
METHODS: Mapping[str, Method] = {
    "Generate, small": Method(_GENERATE, _picture("small"), frozenset({"generate", "small", "all"})),
    "Generate, small-bare": Method(_GENERATE, _picture("small-bare"), frozenset({"generate", "bare", "all"})),
    "GetInfo": Method(
        "/backdrop.v1.InfoService/GetInfo", info_pb.GetInfoRequest().SerializeToString(), frozenset({"info", "all"})
    ),
    "reflection": Method(
        _REFLECTION,
        reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString(),
        frozenset({"admin", "all"}),
    ),
    "health, Check": Method("/grpc.health.v1.Health/Check", _HEALTH, None),
    "health, Watch": Method("/grpc.health.v1.Health/Watch", _HEALTH, None),
    "no such method": Method("/backdrop.v1.GenerationService/Delete", b"", frozenset()),
}
_RULES = """
[[issuers]]
name = "cluster"
issuer = "https://issuer.example"
audience = "backdrop"
jwks = "{folder}/jwks.json"
algorithms = ["ES256"]
""" + "".join(
    f'[[rules]]\nissuer = "cluster"\nsubject = "{name}"\ntenant = "tenant"\nscopes = {list(scopes)}\n'
    f'[[rules]]\ncertificate = "CN:{name}"\ntenant = "tenant"\nscopes = {list(scopes)}\n'
    for name, scopes in SCOPES.items()
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One call: who, what, and the two answers."""

    identity: str
    method: str
    expected: Code
    answer: Code


@dataclasses.dataclass(frozen=True)
class _Identity:
    """How a caller shows itself. `refused` is the answer to everything except health; None: its scopes decide."""

    name: str
    scope: str = ""
    token: str = ""
    certificate: str = ""
    refused: Code | None = None

    def expected(self, method: Method) -> Code:
        if method.served_to is None:
            return Code.OK
        if self.refused is not None:
            return self.refused
        if not method.served_to:
            return Code.UNIMPLEMENTED
        return Code.OK if self.scope in method.served_to else Code.PERMISSION_DENIED


def _by_token(site: Site) -> list[_Identity]:
    past, wrong = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), Code.UNAUTHENTICATED
    valid = [_Identity(f"key, {name}", name, site.key(name, *scopes)) for name, scopes in SCOPES.items()]
    valid += [_Identity(f"token, {name}", name, site.issuer.sign(name)) for name in SCOPES]
    return [
        *valid,
        _Identity("nobody", refused=wrong),
        _Identity("key, wrong", token=valid[0].token[:-4] + "AAAA", refused=wrong),
        _Identity("key, expired", token=site.key("expired", "generate", "info", expires=past), refused=wrong),
        _Identity("token, forged", token=TokenIssuer().sign("all"), refused=wrong),
        _Identity("token, expired", token=site.issuer.sign("all", exp=1_600_000_000), refused=wrong),
        _Identity("token, for another", token=site.issuer.sign("all", aud="another"), refused=wrong),
        _Identity("token, no rule", token=site.issuer.sign("nobody"), refused=Code.PERMISSION_DENIED),
    ]


def _by_certificate(site: Site) -> list[_Identity]:
    return [
        *(_Identity(f"certificate, {name}", name, certificate=name) for name in SCOPES),
        _Identity("certificate, no rule", certificate="nobody", refused=Code.PERMISSION_DENIED),
        # A token comes before a certificate, and a wrong one is not passed over.
        _Identity("certificate, and a token of less", "info", site.issuer.sign("info"), certificate="all"),
        _Identity("certificate, and a wrong key", token="bdk_all.x", certificate="all", refused=Code.UNAUTHENTICATED),  # noqa: S106  (wrong on purpose)
    ]


async def cells(folder: Path) -> list[Cell]:
    """Calls every method as every identity: with tokens over TLS, with certificates over mutual TLS."""
    site = Site(folder, _RULES)
    results: list[Cell] = []
    for mutual, identities in ((False, _by_token(site)), (True, _by_certificate(site))):
        async with site.serve(mutual=mutual, reflection=True) as running:
            for identity in identities:
                async with site.channel(running, identity.certificate) as channel:
                    results += [
                        Cell(
                            identity.name,
                            name,
                            identity.expected(method),
                            await _answer(channel, method, identity.token),
                        )
                        for name, method in METHODS.items()
                    ]
            if mutual:
                results += await _from_outside(site, f"{HOST}:{running.server.port}")
    return results


async def _from_outside(site: Site, address: str) -> list[Cell]:
    """Connections that must not come about, for health either."""
    pair, ours = Authority().issue("all"), site.authority.certificate
    channels: dict[str, Callable[[], grpc.aio.Channel]] = {
        "certificate, of another authority": lambda: grpc.aio.secure_channel(
            address, grpc.ssl_channel_credentials(ours, pair.key, pair.certificate)
        ),
        "no certificate": lambda: grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ours)),
        "plain text": lambda: grpc.aio.insecure_channel(address),
    }
    results = []
    for name, connect in channels.items():
        async with connect() as channel:
            token = site.issuer.sign("all")
            results += [
                Cell(name, method_name, Code.UNAVAILABLE, await _answer(channel, method, token))
                for method_name, method in METHODS.items()
            ]
    return results


def _unchanged(message: bytes) -> bytes:
    return message


async def _answer(channel: grpc.aio.Channel, method: Method, token: str) -> Code:
    """The status of a call. A stream that does not end by itself, such as Watch, is OK at its first message."""
    call: Any = channel.unary_stream(method.path, _unchanged, _unchanged)(
        method.message, metadata=bearer(token) if token else None
    )
    endless = method.path.endswith(("Watch", "Info"))
    try:
        async for _ in call:
            if endless:
                return Code.OK
    except grpc.aio.AioRpcError as refusal:
        return refusal.code()
    finally:
        call.cancel()
    return Code.OK


def figure(command: str) -> list[Figure]:
    """The mark."""
    with tempfile.TemporaryDirectory() as folder:
        results = asyncio.run(cells(Path(folder)))
    wrong = [cell for cell in results if cell.answer is not cell.expected]
    name = "identity × method × scope cells whose answer is wrong (all of them, over TLS)"
    said = f"{len(results)} cells" + "".join(f"; {cell}" for cell in wrong[:3])
    return [Figure(name, len(wrong), at_most(0), command, said)]
