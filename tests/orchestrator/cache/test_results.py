"""Results over a real Redis: bounded as a class, counted by owner, healed after garbage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from orchestrator.cache.redis_tier import RedisTier
from orchestrator.cache.results import ResultStore
from tests.orchestrator.cache.redis_process import RedisProcess, running, until_stored
from tests.patience import PATIENCE_S

KIB = 1024
SEAL = 36
"""Bytes of the envelope around each value."""


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@pytest.fixture
def client(server: RedisProcess) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
async def results(server: RedisProcess) -> AsyncIterator[ResultStore]:
    """What keeps 10 KiB in Redis and nothing in the process."""
    tier = RedisTier(server.url, timeout_s=1.0, report=lambda event: None)
    async with asyncio.timeout(PATIENCE_S):
        while not tier.available:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    yield ResultStore(tier, memory_bytes=0, redis_bytes=10 * KIB, namespace="t", report=lambda event: None)
    await tier.close()


async def put(results: ResultStore, name: str, owner: str, ttl_s: int = 60, size: int = KIB) -> None:
    await until_stored(results.put(name, b"x" * (size - SEAL), ttl_s, owner))


async def names(results: ResultStore, *candidates: str) -> list[str]:
    return [name for name in candidates if await results.get(name) is not None]


def sizes(client: redis.Redis) -> dict[str, int]:
    stored: dict[bytes, bytes] = client.hgetall("t:stored")  # type: ignore[assignment]
    return {owner.decode(): int(size) for owner, size in stored.items()}


async def test_the_class_is_bounded_and_the_largest_owner_loses_its_oldest(
    results: ResultStore, client: redis.Redis
) -> None:
    client.set("embedding", b"x" * 100)
    for number in range(3):
        await put(results, f"quiet{number}", "quiet")
    for number in range(20):
        await put(results, f"loud{number}", "loud")
    assert sizes(client) == {"quiet": 3 * KIB, "loud": 7 * KIB}
    assert await names(results, "quiet0", "quiet1", "quiet2") == ["quiet0", "quiet1", "quiet2"]
    assert await names(results, *(f"loud{number}" for number in range(20))) == [f"loud{n}" for n in range(13, 20)]
    assert client.exists("embedding")
    assert len(client.keys("t:b:*")) == 10  # type: ignore[arg-type]


async def test_what_expires_is_not_counted(results: ResultStore, client: redis.Redis) -> None:
    await put(results, "short", "one", ttl_s=1)
    await put(results, "long", "one")
    await put(results, "short", "gone", ttl_s=1)
    assert sizes(client) == {"one": 2 * KIB, "gone": KIB}
    await asyncio.sleep(1.1)
    await put(results, "other", "another")
    assert sizes(client) == {"one": KIB, "another": KIB}


async def test_a_result_larger_than_the_class_is_not_kept(results: ResultStore, client: redis.Redis) -> None:
    await put(results, "huge", "one", size=20 * KIB)
    assert await results.get("huge") is None
    assert sizes(client) == {}


async def test_garbage_in_the_counts_heals(results: ResultStore, client: redis.Redis) -> None:
    client.set("t:stored", b"\xff garbage")
    client.lpush("t:stored:one", b"garbage")
    await put(results, "a", "one")
    assert sizes(client) == {"one": KIB}
    client.hset("t:stored", "ghost", "no number")
    client.hset("t:stored", "other", 10**9)
    await put(results, "b", "one")
    assert await names(results, "a", "b") == ["a", "b"]
    assert sizes(client) == {"one": 2 * KIB}
