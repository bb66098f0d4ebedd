"""Idempotency of two orchestrators over one real Redis: one works, the other gets its result; the dead are followed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from backdrop.errors import ConflictError
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.idempotency import Idempotency
from orchestrator.cache import TwoTierCache, leases
from orchestrator.cache.leases import Leases
from tests.orchestrator.api.test_idempotency import TENANT, call, picture, replay, request
from tests.orchestrator.cache.redis_process import RedisProcess, running
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@contextlib.asynccontextmanager
async def orchestrators(server: RedisProcess, count: int = 2) -> AsyncIterator[list[Idempotency]]:
    """The idempotency of so many orchestrators."""
    caches = [TwoTierCache(server.url, redis_timeout_ms=1000, namespace=f"t{id(server)}") for _ in range(count)]
    async with asyncio.timeout(PATIENCE_S):
        while not all(cache.redis_available for cache in caches):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    try:
        yield [Idempotency(cache.results, Leases(cache.redis), 60) for cache in caches]
    finally:
        for cache in caches:
            await cache.close()


async def test_two_servers_at_once_do_the_work_once(server: RedisProcess) -> None:
    async with orchestrators(server) as both:
        answers = await asyncio.gather(*(call(each, request(key="once"), str(n)) for n, each in enumerate(both * 3)))
    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 5
    assert len({name for name, _ in answers}) == 1


async def test_the_second_server_gets_all_pictures_of_the_first(server: RedisProcess) -> None:
    async with orchestrators(server) as (one, other):
        async with one.claim(request(key="large"), TENANT) as claim:
            pictures = [picture(0, "x" * 3_000_000), picture(1, "y")]
            summary = pb.GenerateResponse(summary=pb.Summary(pictures=2))
            for message in (*pictures, summary):
                claim.keep(message)
        messages = await replay(other, request(key="large"))
    assert messages is not None
    assert messages[:-1] == pictures
    assert messages[-1].summary.replayed


async def test_the_other_server_refuses_another_request_with_a_running_key(server: RedisProcess) -> None:
    async with orchestrators(server) as (one, other), one.claim(request(key="body"), TENANT):
        with pytest.raises(ConflictError):
            await replay(other, request("a city", key="body"))
        assert await replay(other, request("a city", key="body"), "another tenant") is None


async def test_a_failure_hands_over_to_the_other_server(server: RedisProcess) -> None:
    async with orchestrators(server) as (one, other):
        first = asyncio.create_task(call(one, request(key="fails"), "one", fail=True))
        await asyncio.sleep(0.005)
        assert await call(other, request(key="fails"), "two") == ("two", False)
        with pytest.raises(RuntimeError):
            await first


async def test_an_orchestrator_that_dies_is_followed(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TTL_S", 0.3)
    async with orchestrators(server) as (one, other):
        claim = one.claim(request(key="dies"), TENANT)
        (await claim.__aenter__()).keep(picture(0, "half of it"))
        # SIGKILL: no renewal and no release reaches Redis any more.
        assert one._leases._redis is not None
        await one._leases._redis.close()
        assert await call(other, request(key="dies"), "two") == ("two", False)
        assert await call(other, request(key="dies"), "three") == ("two", True)
        with contextlib.suppress(Exception):
            await claim.__aexit__(None, None, None)


async def test_without_redis_no_call_waits_or_fails(server: RedisProcess) -> None:
    async with orchestrators(server) as (one, other):
        server.kill()
        assert await call(one, request(key="alone"), "one") == ("one", False)
        assert await call(one, request(key="alone"), "two") == ("one", True)
        assert await call(other, request(key="alone"), "three") == ("three", False)
    server.start()
