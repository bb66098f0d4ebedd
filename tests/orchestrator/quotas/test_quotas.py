"""Quotas over a real Redis: counted over two orchestrators, bounded and quick while it is away."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from backdrop.errors import BackdropError, OverloadedError, Reason
from orchestrator.cache import TwoTierCache
from orchestrator.cache.keys import owner_of
from orchestrator.quotas import Limits, LimitTable, Quotas, quotas
from orchestrator.quotas.limits import CONCURRENT, STORED, WORK
from tests.faults.proxy import Link, Proxy
from tests.orchestrator.cache.redis_process import RedisProcess, running, until_stored
from tests.patience import PATIENCE_S

TENANT = "acme"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@pytest.fixture
def client(server: RedisProcess) -> Iterator[redis.Redis]:
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


class Orchestrator:
    """The quotas of one orchestrator, and the requests that it runs."""

    def __init__(self, url: str | None, limits: Limits, timeout_ms: float, share: float) -> None:
        self.cache = TwoTierCache(url, redis_timeout_ms=timeout_ms)
        table = LimitTable(limits, {})
        self.quotas = Quotas(table, self.cache.redis, self.cache.results.index_key, local_share=share)
        self.stack = contextlib.AsyncExitStack()
        self._count = 0

    async def take(self, work: float = 1.0, tenant: str = TENANT, stores: bool = False) -> contextlib.AsyncExitStack:
        """Counts a request; closing what it returns ends the request."""
        self._count += 1
        async with contextlib.AsyncExitStack() as stack:
            hold = self.quotas.hold(tenant, f"{id(self)}-{self._count}", work, stores=stores, unspent=lambda: work / 2)
            await stack.enter_async_context(hold)
            ending = stack.pop_all()
            self.stack.push_async_callback(ending.aclose)
            return ending
        raise AssertionError("the stack returns")

    async def used(self) -> dict[str, float]:
        return {use.name: round(use.used, 1) for use in await self.quotas.use(TENANT)}


@contextlib.asynccontextmanager
async def orchestrators(
    url: str | None, limits: Limits, count: int = 2, timeout_ms: float = 1000, share: float = 0.5
) -> AsyncIterator[list[Orchestrator]]:
    """So many orchestrators that use one Redis."""
    all_ = [Orchestrator(url, limits, timeout_ms, share) for _ in range(count)]
    if url:
        await until(lambda: all(each.cache.redis_available for each in all_))
    try:
        yield all_
    finally:
        for each in all_:
            await each.stack.aclose()
            await each.quotas.close()
            await each.cache.close()


async def until(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # any condition
            await asyncio.sleep(0.005)


async def refusal(taking: Any) -> BackdropError:
    with pytest.raises(OverloadedError) as caught:
        await taking
    assert caught.value.reason is Reason.QUOTA_SPENT
    return caught.value


async def test_requests_are_counted_over_two_orchestrators(server: RedisProcess, client: redis.Redis) -> None:
    async with orchestrators(server.url, Limits(concurrent_requests=3)) as (one, other):
        first = await one.take()
        await one.take()
        await other.take()
        for each in (one, other):
            problem = await refusal(each.take())
            assert (problem.quota, problem.retry_after_s) == (CONCURRENT, 0.5)
            with pytest.raises(OverloadedError):
                each.quotas.check(TENANT)
        await other.take(tenant="another")
        assert await one.used() == {CONCURRENT: 3}
        await first.aclose()
        one.quotas.check(TENANT)
        await asyncio.sleep(0.05)
        await one.take()


async def test_work_is_counted_over_two_orchestrators_and_refills(server: RedisProcess, client: redis.Redis) -> None:
    async with orchestrators(server.url, Limits(row_step_megapixels_per_minute=600.0)) as (one, other):
        await one.take(400.0)
        await other.take(190.0)
        problem = await refusal(other.take(30.0))
        assert (problem.quota, problem.retry_after_s) == (WORK, pytest.approx(2.0, abs=0.2))
        assert (await other.used())[WORK] == pytest.approx(590.0, abs=5)
        await one.take(5.0)


async def test_a_failed_request_gives_back_what_was_not_done(server: RedisProcess, client: redis.Redis) -> None:
    async with orchestrators(server.url, Limits(row_step_megapixels_per_minute=600.0), 1) as (one,):
        with pytest.raises(RuntimeError):
            async with one.quotas.hold(TENANT, "r", 400.0, stores=False, unspent=lambda: 300.0):
                raise RuntimeError("the request failed")
        await asyncio.sleep(0.05)
        assert (await one.used())[WORK] == pytest.approx(100.0, abs=5)


async def test_stored_results_are_counted_until_they_expire(server: RedisProcess, client: redis.Redis) -> None:
    async with orchestrators(server.url, Limits(stored_bytes=1000)) as (one, other):
        await until_stored(one.cache.results.put("a", b"x" * 900, 60, owner_of(TENANT)))
        await other.take(stores=True)
        await until_stored(other.cache.results.put("b", b"x" * 900, 2, owner_of(TENANT)))
        problem = await refusal(one.take(stores=True))
        assert (problem.quota, problem.retry_after_s) == (STORED, pytest.approx(2.0, abs=0.3))
        one.quotas.check(TENANT)
        await one.take(stores=False)
        assert (await one.used())[STORED] == 1872


async def test_an_orchestrator_that_dies_gives_its_requests_back(
    server: RedisProcess, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "LEASE_S", 0.4)
    async with orchestrators(server.url, Limits(concurrent_requests=2)) as (alive, dead):
        await alive.take()
        await dead.take()
        await dead.quotas.close()  # SIGKILL: it renews nothing any more
        await refusal(alive.take())
        await asyncio.sleep(0.8)
        assert await alive.used() == {CONCURRENT: 1}, "the running request of the other one was renewed"


async def test_without_limits_nothing_is_counted(server: RedisProcess, client: redis.Redis) -> None:
    async with orchestrators(server.url, Limits()) as (one, _):
        await one.take(10**9)
        assert await one.quotas.use(TENANT) == []
    assert client.keys("*quota*") == []


async def test_without_redis_one_orchestrator_has_the_whole_quota() -> None:
    async with orchestrators(None, Limits(2, 60.0), 1) as (one,):
        await one.take(20.0)
        await one.take(20.0)
        assert (await refusal(one.take())).quota == CONCURRENT
        assert await one.used() == {CONCURRENT: 2, WORK: pytest.approx(40.0, abs=1)}


async def test_garbage_in_the_counts_heals(server: RedisProcess, client: redis.Redis) -> None:
    owner = owner_of(TENANT)
    async with orchestrators(server.url, Limits(2, 60.0, 1000), 1) as (one,):
        client.set(f"backdrop:quota:{owner}:running", b"\xff")
        client.rpush(f"backdrop:quota:{owner}:work", "x")
        client.set(f"backdrop:stored:{owner}", b"\0")
        await one.take(20.0, stores=True)
        client.hset(f"backdrop:quota:{owner}:work", mapping={"level": "many", "at": "nan"})
        client.zadd(f"backdrop:stored:{owner}", {"no size": 10**15})
        await one.take(20.0, stores=True)
        assert (await refusal(one.take(1.0))).quota == CONCURRENT, "Redis counts again"


@pytest.mark.parametrize("fault", ["killed", "stopped", "slow", "garbage"])
async def test_while_redis_is_away_the_local_share_is_granted_without_delay(
    server: RedisProcess, client: redis.Redis, fault: str
) -> None:
    limits, timeout_s = Limits(100, 10_000.0), 0.4
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    async with (
        Proxy(port) as proxy,
        orchestrators(f"redis://{proxy.endpoint}/0", limits, timeout_ms=1000 * timeout_s, share=0.25) as (one, other),
    ):
        await one.take()
        if fault == "killed":
            server.kill()
        elif fault == "stopped":
            server.pause()
        else:
            proxy.link = Link(latency_s=5 * timeout_s) if fault == "slow" else Link(garbage=True)
        for each in (one, other):
            delays = []
            for _ in range(24):
                began = time.monotonic()
                await each.take()
                delays.append(time.monotonic() - began)
            assert statistics.median(delays) < timeout_s / 2, "only what opens the breaker waits"
        assert (await other.used())[CONCURRENT] == 24
        await other.take()
        assert (await refusal(other.take())).quota == CONCURRENT, "25 of 100"
        server.start()
        proxy.mend()
        await until(lambda: one.cache.redis_available and other.cache.redis_available)
        await asyncio.sleep(0.3)
        await other.take()
