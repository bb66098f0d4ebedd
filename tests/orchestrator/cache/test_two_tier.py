"""Both tiers together, over a real Redis that is killed, stopped and filled with garbage."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import redis

from orchestrator.cache import TwoTierCache, encode, key
from tests.orchestrator.cache.redis_process import RedisProcess, running, until_stored
from tests.patience import PATIENCE_S

K = key("text", "sha256:1", b"a prompt")


Arrays = dict[str, npt.NDArray[Any]]
T = TypeVar("T")


class Heard(list[str]):
    """An observer that keeps what it hears."""

    def on_lookup(self, outcome: str) -> None:
        self.append(outcome)


class Compute:
    """A computation that counts its runs."""

    def __init__(self, value: float = 3.0) -> None:
        self.runs = 0
        self.value = value

    async def __call__(self) -> Arrays:
        self.runs += 1
        await asyncio.sleep(0.001)
        return {"embedding": np.full((2, 3), self.value, np.float32), "ids": np.array([1, 2], np.int64)}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@pytest.fixture
def store(server: RedisProcess) -> Iterator[redis.Redis]:
    """A client apart from the cache's own; the server is empty and runs."""
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@contextlib.asynccontextmanager
async def cache_on(url: str | None, **options: Any) -> AsyncIterator[TwoTierCache]:
    # A busy machine may need longer than the default; what that is worth is measured in a test of its own.
    cache = TwoTierCache(url, **{"redis_timeout_ms": 1000, **options})
    try:
        yield cache
    finally:
        await cache.close()


async def until(condition: Callable[[], Any], within_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # any condition
            await asyncio.sleep(0.005)


async def seconds_of(awaitable: Awaitable[T]) -> tuple[T, float]:
    began = time.monotonic()
    result = await awaitable
    return result, time.monotonic() - began


def available(cache: TwoTierCache) -> bool:
    assert cache._redis is not None
    return cache._redis.available


async def warm(cache: TwoTierCache) -> None:
    """Waits for the first connection, which no look-up waits for."""
    await until(lambda: available(cache))


async def test_each_tier_answers_in_turn(server: RedisProcess, store: redis.Redis) -> None:
    compute, heard = Compute(), Heard()
    async with cache_on(server.url, observer=heard) as cache:
        await warm(cache)
        first = await cache.get_or_compute(K, compute)
        second = await cache.get_or_compute(K, compute)
        await until(lambda: store.keys("backdrop:a:*"))
        async with cache_on(server.url, observer=heard) as other:
            await warm(other)
            third = await other.get_or_compute(K, compute)
            fourth = await other.get_or_compute(K, compute)
    assert [lookup.source for lookup in (first, second, third, fourth)] == ["computed", "memory", "redis", "memory"]
    assert [outcome for outcome in heard if outcome != "breaker_closed"] == ["computed", "memory", "redis", "memory"]
    assert compute.runs == 1
    for lookup in (first, second, third, fourth):
        np.testing.assert_array_equal(lookup.value["embedding"], np.full((2, 3), 3, np.float32))
        assert lookup.value["ids"].dtype == np.int64
        assert not any(array.flags.writeable for array in lookup.value.values())
    assert 0 < store.ttl(store.keys()[0]) <= 86_400


async def test_without_redis_memory_serves() -> None:
    compute = Compute()
    async with cache_on(None) as cache:
        sources = [(await cache.get_or_compute(K, compute)).source for _ in range(3)]
        await until_stored(cache.results.put("id", b"whole result", 60))
        assert await cache.results.get("id") == b"whole result"
        assert await cache.results.get("other") is None
    assert sources == ["computed", "memory", "memory"]


async def test_the_caller_cannot_change_what_is_kept() -> None:
    mine = np.zeros(4, np.float32)

    async def compute() -> Arrays:
        return {"x": mine}

    async with cache_on(None) as cache:
        first = await cache.get_or_compute(K, compute)
        mine[:] = 9
        first.value["x2"] = first.value.pop("x")
        again = await cache.get_or_compute(K, compute)
    np.testing.assert_array_equal(again.value["x"], np.zeros(4))


async def test_memory_is_bounded_by_bytes() -> None:
    big = Compute()
    async with cache_on(None, memory_bytes=2000) as cache:
        for i in range(50):
            await cache.get_or_compute(str(i), big)
        assert cache._memory.size_bytes <= 2000
        assert (await cache.get_or_compute("0", big)).source == "computed"


@pytest.mark.promise("same-question")
async def test_a_thousand_at_once_are_one_look_up_and_one_computation(server: RedisProcess, store: redis.Redis) -> None:
    compute, heard = Compute(), Heard()
    async with cache_on(server.url, observer=heard) as cache:
        await warm(cache)
        misses = store.info("stats")["keyspace_misses"]
        lookups = await asyncio.gather(*(cache.get_or_compute(K, compute) for _ in range(1000)))
    assert compute.runs == 1
    assert {lookup.source for lookup in lookups} == {"computed"}
    assert heard.count("computed") == 1000
    assert store.info("stats")["keyspace_misses"] <= misses + 1


async def test_the_first_caller_may_leave_and_the_others_still_get_one_answer() -> None:
    compute = Compute()
    async with cache_on(None) as cache:
        tasks = [asyncio.create_task(cache.get_or_compute(K, compute)) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[3].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, False, True, False]
    assert compute.runs == 1


async def test_a_failed_computation_is_not_kept(server: RedisProcess, store: redis.Redis) -> None:
    async def fail() -> Arrays:
        raise ValueError("no")

    compute = Compute()
    async with cache_on(server.url) as cache:
        await warm(cache)
        with pytest.raises(ValueError, match="no"):
            await cache.get_or_compute(K, fail)
        assert (await cache.get_or_compute(K, compute)).source == "computed"


@pytest.mark.parametrize("kind", ["random", "empty", "torn", "foreign key", "list"])
async def test_garbage_is_a_miss_and_is_overwritten(server: RedisProcess, store: redis.Redis, kind: str) -> None:
    name = f"backdrop:a:{K}"
    good = encode({"embedding": np.zeros(3)}, name.encode())
    garbage = {
        "random": os.urandom(300),
        "empty": b"",
        "torn": good[:-1],
        "foreign key": encode({"embedding": np.zeros(3)}, b"backdrop:a:another"),
    }
    if kind == "list":
        store.rpush(name, "x")
    else:
        store.set(name, garbage[kind])
    compute, heard = Compute(), Heard()
    async with cache_on(server.url, observer=heard) as cache:
        await warm(cache)
        lookup = await cache.get_or_compute(K, compute)
    assert lookup.source == "computed"
    assert ("redis_refused" if kind == "list" else "corrupt") in heard
    assert "breaker_opened" not in heard
    np.testing.assert_array_equal(lookup.value["embedding"], np.full((2, 3), 3, np.float32))
    async with cache_on(server.url) as other:
        await warm(other)
        assert (await other.get_or_compute(K, compute)).source == "redis"


async def test_whole_results_are_kept_by_key(server: RedisProcess, store: redis.Redis) -> None:
    result = os.urandom(3_000_000)
    async with cache_on(server.url) as cache, cache_on(server.url) as other:
        await warm(cache)
        await warm(other)
        assert await cache.results.get("id") is None
        await until_stored(cache.results.put("id", result, 60))
        assert await cache.results.get("id") == result
        await until(lambda: store.exists("backdrop:b:id"))
        assert await other.results.get("id") == result
        assert 0 < store.ttl("backdrop:b:id") <= 60
        stored = store.get("backdrop:b:id")
        assert isinstance(stored, bytes)
        store.set("backdrop:b:id", stored[:-1])
        async with cache_on(server.url) as third:
            await warm(third)
            assert await third.results.get("id") is None


async def test_a_stopped_redis_costs_its_timeout_once_and_is_used_again(
    server: RedisProcess, store: redis.Redis
) -> None:
    heard, timeout_s, left_alone = Heard(), 0.5, list[float]()

    async def compute() -> Arrays:
        return {"x": np.zeros(3)}

    async with cache_on(server.url, observer=heard, memory_bytes=0, redis_timeout_ms=round(1000 * timeout_s)) as cache:
        await warm(cache)
        server.pause()
        lookup, found_out = await seconds_of(cache.get_or_compute("0", compute))
        assert lookup.source == "computed"
        assert found_out > 0.9 * timeout_s
        for i in range(1, 10):
            lookup, seconds = await seconds_of(cache.get_or_compute(str(i), compute))
            assert lookup.source == "computed"
            left_alone.append(seconds)
        left_alone.append((await seconds_of(cache.results.get("id")))[1])
        left_alone.append((await seconds_of(until_stored(cache.results.put("id", b"x", 60))))[1])
        assert not available(cache)
        server.resume()
        await warm(cache)
    # The median: other work on the machine is not Redis's doing.
    assert sorted(left_alone)[len(left_alone) // 2] < timeout_s / 2
    assert heard.count("breaker_opened") == 1


async def test_a_killed_redis_is_left_alone_and_used_again(server: RedisProcess, store: redis.Redis) -> None:
    compute, heard = Compute(), Heard()
    async with cache_on(server.url, observer=heard, memory_bytes=0) as cache:
        await warm(cache)
        server.kill()
        for i in range(10):
            assert (await cache.get_or_compute(f"{K}{i}", compute)).source == "computed"
        assert heard.count("breaker_opened") == 1
        server.start()
        await warm(cache)
        await cache.get_or_compute(K, compute)
        await until(lambda: store.exists(f"backdrop:a:{K}"))
        assert (await cache.get_or_compute(K, compute)).source == "redis"


async def test_a_redis_that_was_never_there_is_no_trouble() -> None:
    compute = Compute()
    async with cache_on("redis://127.0.0.1:1/0") as cache:
        assert (await cache.get_or_compute(K, compute)).source == "computed"
        assert (await cache.get_or_compute(K, compute)).source == "memory"
        await until_stored(cache.results.put("id", b"x", 60))
        assert await cache.results.get("id") == b"x"


async def test_results_survive_in_memory_while_redis_is_stopped(server: RedisProcess, store: redis.Redis) -> None:
    async with cache_on(server.url) as cache:
        await warm(cache)
        server.pause()
        await until_stored(cache.results.put("id", b"whole result", 60))
        assert await cache.results.get("id") == b"whole result"
        server.resume()


async def test_more_look_ups_at_once_than_connections_open_no_breaker(server: RedisProcess, store: redis.Redis) -> None:
    heard = Heard()
    async with cache_on(server.url, observer=heard, redis_timeout_ms=20_000) as cache:
        await warm(cache)
        computes = [Compute(i) for i in range(300)]
        lookups = await asyncio.gather(*(cache.get_or_compute(str(i), c) for i, c in enumerate(computes)))
    assert [lookup.value["embedding"][0, 0] for lookup in lookups] == list(range(300))
    assert "breaker_opened" not in heard


async def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        TwoTierCache("localhost:6379")
