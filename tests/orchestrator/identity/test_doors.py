"""Callers over TLS: who comes in by which credentials, as which tenant, and what the others are told."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status.rpc_status import from_call

from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from backdrop.v1 import info_service_pb2_grpc as info_stubs
from tests.certificates import HOST, Authority, TokenIssuer, replace
from tests.orchestrator.api.test_service import Running, generation, request
from tests.orchestrator.identity.guarded import Site, bearer
from tests.patience import PATIENCE_S

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
async def running(site: Site) -> AsyncIterator[Running]:
    async with site.serve() as running:
        yield running


@pytest.fixture
async def channel(site: Site, running: Running) -> AsyncIterator[grpc.aio.Channel]:
    async with site.channel(running) as channel:
        yield channel


async def info(channel: grpc.aio.Channel, *metadata: tuple[str, str]) -> info_pb.GetInfoResponse:
    answer: info_pb.GetInfoResponse = await info_stubs.InfoServiceStub(channel).GetInfo(  # type: ignore[misc]
        info_pb.GetInfoRequest(), metadata=metadata
    )
    return answer


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """The status and the sentence of a call that is refused, with our details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call if hasattr(call, "__aiter__") else _once(call):
            pass
    status = from_call(caught.value)
    detail = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(detail)
    assert detail.reason == caught.value.code().name
    return caught.value.code(), status.message


async def _once(call: Any) -> AsyncIterator[Any]:
    yield await call


def tenants(logs: list[Any]) -> list[Any]:
    """The tenants of the requests' records."""
    return [record.get("tenant") for record in logs if record["event"] == "request"]


async def test_a_key_says_the_tenant(site: Site, channel: grpc.aio.Channel) -> None:
    token = site.key("ci", "generate", tenant="brand")
    with structlog.testing.capture_logs() as logs:
        call = generation(channel).Generate(request(), metadata=bearer(token))
        assert [event async for event in call][-1].HasField("summary")
        await asyncio.sleep(0.2)
    assert tenants(logs) == ["brand"]
    assert token not in str(logs)


async def test_a_service_account_says_the_tenant(site: Site, channel: grpc.aio.Channel) -> None:
    token = site.issuer.sign("system:serviceaccount:shop-a:web")
    with structlog.testing.capture_logs() as logs:
        call = generation(channel).Generate(request(), metadata=bearer(token))
        assert [event async for event in call][-1].HasField("summary")
        await asyncio.sleep(0.2)
    assert tenants(logs) == ["shop-a"]
    assert token not in str(logs)


async def test_without_credentials_only_health_answers(running: Running, channel: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for method in ("/backdrop.v1.Any/Method", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
        code, said = await refusal(channel.unary_unary(method)(b""))
        assert (code, "token_file" in said) == (Code.UNAUTHENTICATED, True)
    code, said = await refusal(generation(channel).Generate(request()))
    assert (code, "token_file" in said) == (Code.UNAUTHENTICATED, True)
    assert (await refusal(info(channel)))[0] is Code.UNAUTHENTICATED


async def test_the_pictures_of_a_stranger_are_not_read(channel: grpc.aio.Channel) -> None:
    # The message never comes to its end: only a refusal by the headers answers.
    call = channel.stream_stream("/backdrop.v1.GenerationService/Generate")()
    assert await asyncio.wait_for(call.code(), PATIENCE_S) is Code.UNAUTHENTICATED


def forged(site: Site) -> dict[str, str]:
    """Tokens that must not be taken, by what is wrong with them."""
    issuer, other = site.issuer, TokenIssuer()
    good, day = issuer.sign("system:serviceaccount:a:b"), 86_400
    header, payload, signature = good.split(".")
    key = site.key("whole", "info")
    return {
        "of another issuer": issuer.sign("system:serviceaccount:a:b", iss="https://other.example"),
        "for another service": issuer.sign("system:serviceaccount:a:b", aud="other"),
        "for nobody": issuer.sign("system:serviceaccount:a:b", aud=None),
        "without an end": issuer.sign("system:serviceaccount:a:b", exp=None),
        "of the future": issuer.sign("system:serviceaccount:a:b", nbf=day * 365 * 100),
        "with a number as subject": issuer.sign("system:serviceaccount:a:b", sub=5),
        "with another key": other.sign("system:serviceaccount:a:b"),
        "with another key of another name": other.sign("x", header={"kid": "no-such"}),
        "changed": f"{header}.{payload[:-2]}AA.{signature}",
        "unsigned": f"{_header(alg='none')}.{payload}.",
        "with a shared secret": f"{_header(alg='HS256', kid='first')}.{payload}.{signature}",
        "cut": good[:-10],
        "no JWT": "e30.e30.e30",
        "words": "let me in",
        "a wrong key": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "a key of no name": "bdk_nobody." + key.partition(".")[2],
        "long": "x" * 7000,
    }


def _header(**values: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


async def test_forged_credentials_get_one_sentence(site: Site, channel: grpc.aio.Channel) -> None:
    answers = {name: await refusal(info(channel, *bearer(token))) for name, token in forged(site).items()}
    assert {code for code, _ in answers.values()} == {Code.UNAUTHENTICATED}
    assert len({said for _, said in answers.values()}) == 1, answers


async def test_expired_credentials_are_told_so(site: Site, channel: grpc.aio.Channel) -> None:
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    expired = [site.key("old", "info", expires=past), site.issuer.sign("system:serviceaccount:a:b", exp=1_600_000_000)]
    for token in expired:
        code, said = await refusal(info(channel, *bearer(token)))
        assert code is Code.UNAUTHENTICATED
        assert "expired" in said


async def test_two_tokens_or_another_scheme_are_refused(site: Site, channel: grpc.aio.Channel) -> None:
    token = site.key("twice", "info")
    for metadata in ([*bearer(token)] * 2, [("authorization", f"Basic {token}")], [("authorization", token)]):
        code, said = await refusal(info(channel, *metadata))
        assert (code, "Bearer" in said) == (Code.UNAUTHENTICATED, True)


async def test_scopes_bound_methods_and_pipelines(site: Site, channel: grpc.aio.Channel) -> None:
    reader, small = site.key("reader", "info"), site.issuer.sign("system:serviceaccount:a:small")
    assert (await info(channel, *bearer(reader))).pipelines
    code, said = await refusal(generation(channel).Generate(request(), metadata=bearer(reader)))
    assert (code, "'generate'" in said) == (Code.PERMISSION_DENIED, True)
    assert (await refusal(info(channel, *bearer(small))))[0] is Code.PERMISSION_DENIED
    assert [event async for event in generation(channel).Generate(request(), metadata=bearer(small))]
    other = request(sampling=pb.Sampling(pipeline="small-flow"))
    code, said = await refusal(generation(channel).Generate(other, metadata=bearer(small)))
    assert (code, "'generate:small-flow'" in said) == (Code.PERMISSION_DENIED, True)


async def test_an_identity_without_a_rule_is_told_whom_to_ask(site: Site, channel: grpc.aio.Channel) -> None:
    for subject in ("somebody", "system:serviceaccount:anonymous:x", "system:serviceaccount::x"):
        code, said = await refusal(info(channel, *bearer(site.issuer.sign(subject))))
        assert (code, "operator" in said) == (Code.PERMISSION_DENIED, True)


async def test_a_withdrawn_key_is_refused_and_a_new_one_taken_at_once(site: Site, channel: grpc.aio.Channel) -> None:
    first = site.key("first", "info")
    assert await info(channel, *bearer(first))
    site.keys = [key for key in site.keys if key.name != "first"]
    second = site.key("second", "info")
    assert await info(channel, *bearer(second))
    assert (await refusal(info(channel, *bearer(first))))[0] is Code.UNAUTHENTICATED


async def test_a_faulty_file_changes_nothing(site: Site, channel: grpc.aio.Channel) -> None:
    token = site.key("kept", "info")
    assert await info(channel, *bearer(token))
    replace(site.keys_file, '{"keys": [')
    await asyncio.sleep(1.2)
    assert await info(channel, *bearer(token))
    site.write_keys()


async def test_tokens_of_a_new_key_are_taken_at_once(site: Site, channel: grpc.aio.Channel) -> None:
    before = site.issuer.sign("system:serviceaccount:a:b")
    site.issuer.rotate()
    site.write_jwks()
    for token in (site.issuer.sign("system:serviceaccount:a:b"), before):
        assert await info(channel, *bearer(token))


async def test_a_certificate_is_an_identity_and_a_token_comes_before_it(site: Site) -> None:
    async with site.serve(mutual=True) as running:
        async with site.channel(running, "shop-caller") as channel:
            assert await info(channel)
            small = site.issuer.sign("system:serviceaccount:a:small")
            assert (await refusal(info(channel, *bearer(small))))[0] is Code.PERMISSION_DENIED
            assert (await refusal(info(channel, *bearer("bdk_x.y"))))[0] is Code.UNAUTHENTICATED
        async with site.channel(running, uri="spiffe://site/shop/reader") as channel:
            assert await info(channel)
            assert (await refusal(generation(channel).Generate(request())))[0] is Code.PERMISSION_DENIED
        async with site.channel(running, "stranger") as channel:
            assert (await refusal(info(channel)))[0] is Code.PERMISSION_DENIED


async def test_other_authorities_and_plain_text_do_not_come_in(site: Site) -> None:
    async with site.serve(mutual=True, health_listen=f"{HOST}:0") as running:
        address = f"{HOST}:{running.server.port}"
        foreign = Authority().issue("shop-caller")
        ours = site.authority.certificate
        for channel in (
            grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ours, foreign.key, foreign.certificate)),
            grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ours)),
            grpc.aio.insecure_channel(address),
        ):
            async with channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await info(channel)
                assert caught.value.code() is Code.UNAVAILABLE
        async with grpc.aio.insecure_channel(f"{HOST}:{running.server.health_port}") as probe:
            answer = await health_pb2_grpc.HealthStub(probe).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await info(probe, *bearer(site.key("probe", "info")))
            assert caught.value.code() is Code.UNIMPLEMENTED
