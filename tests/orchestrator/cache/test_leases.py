"""Leases over a real Redis: one holder at a time, takeover of the dead, and no wait without Redis."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from orchestrator.cache import leases
from orchestrator.cache.leases import Leases
from orchestrator.cache.redis_tier import RedisTier
from tests.orchestrator.cache.redis_process import RedisProcess, running
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@contextlib.asynccontextmanager
async def two(server: RedisProcess) -> AsyncIterator[list[Leases]]:
    """The leases of two orchestrators."""
    server.start()
    tiers = [RedisTier(server.url, timeout_s=1.0, report=lambda event: None) for _ in range(2)]
    async with asyncio.timeout(PATIENCE_S):
        while not all(tier.available for tier in tiers):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    try:
        yield [Leases(tier) for tier in tiers]
    finally:
        for tier in tiers:
            await tier.close()


async def test_a_name_has_one_holder_and_the_next_one_waits(server: RedisProcess) -> None:
    waits: list[str] = []
    async with two(server) as (one, other):
        lease = await one.hold("k", "first", waits.append)
        second = asyncio.create_task(other.hold("k", "second", waits.append))
        third = await other.hold("another", "third", waits.append)
        await asyncio.sleep(0.1)
        assert not second.done()
        assert set(waits) == {"first"}
        lease.release()
        (await second).release()
        third.release()


async def test_a_lease_is_given_back_when_the_writes_are_done(server: RedisProcess) -> None:
    async with two(server) as (one, other):
        lease, write = await one.hold("k", "first", lambda holder: None), asyncio.create_task(asyncio.sleep(0.2))
        lease.release(after=write)
        (await other.hold("k", "second", lambda holder: None)).release()
        assert write.done()


async def test_a_holder_that_dies_is_followed(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TTL_S", 1.0)
    async with two(server) as (one, other):
        alive = await one.hold("alive", "first", lambda holder: None)
        dead = await one.hold("dead", "first", lambda holder: None)
        assert dead._renewal is not None
        dead._renewal.cancel()
        waiting = asyncio.create_task(other.hold("alive", "second", lambda holder: None))
        (await other.hold("dead", "second", lambda holder: None)).release()
        await asyncio.sleep(1.5)
        assert not waiting.done(), "a lease that is renewed outlives its time"
        alive.release()
        (await waiting).release()


async def test_a_wait_may_raise(server: RedisProcess) -> None:
    def refuse(holder: str) -> None:
        raise LookupError(holder)

    async with two(server) as (one, other):
        lease = await one.hold("k", "first", refuse)
        with pytest.raises(LookupError, match="first"):
            await other.hold("k", "second", refuse)
        lease.release()


async def test_without_redis_every_name_is_free(server: RedisProcess) -> None:
    (await Leases(None).hold("k", "first", lambda holder: None)).release()
    async with two(server) as (one, other):
        lease = await one.hold("k", "first", lambda holder: None)
        server.kill()
        began = time.monotonic()
        (await other.hold("k", "second", lambda holder: None)).release()
        assert time.monotonic() - began < leases.TTL_S, "nobody waits until the lease has run out"
        lease.release()
    server.start()
