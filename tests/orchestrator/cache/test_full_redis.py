"""A full Redis: results of retryable calls do not push embeddings out, because they are a class with a bound."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
import redis

from orchestrator.cache.two_tier import TwoTierCache
from tests.k8s.rendering import K8S
from tests.orchestrator.cache.redis_process import RedisProcess, running, until_stored
from tests.patience import PATIENCE_S

MIB = 1 << 20
MOST = 8 * MIB
EMBEDDINGS, EMBEDDING_BYTES = 32, MIB // 16
RESULTS, RESULT_BYTES = 100, MIB // 8


def part_of_results() -> float:
    """The part of Redis that results have in the manifests."""
    config = (K8S / "base" / "config" / "redis.conf").read_text()
    settings = (K8S / "base" / "config" / "orchestrator.env").read_text()
    most = re.search(r"^maxmemory (\d+)gb$", config, re.M)
    results = re.search(r"^BACKDROP_RESULT_BYTES=(\d+)$", settings, re.M)
    assert most
    assert results
    return int(results[1]) / (int(most[1]) << 30)


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    """8 MiB, with the policy of the manifests."""
    with running("--maxmemory", str(MOST), "--maxmemory-policy", "volatile-lru") as process:
        yield process


@asynccontextmanager
async def orchestrator(server: RedisProcess, result_bytes: int) -> AsyncIterator[TwoTierCache]:
    """The cache of an orchestrator that has just started: its memory is empty."""
    cache = TwoTierCache(server.url, result_bytes=result_bytes, redis_timeout_ms=1000)
    async with asyncio.timeout(PATIENCE_S):
        while not cache.redis_available:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    yield cache
    await cache.close()


async def embed(cache: TwoTierCache) -> list[str]:
    """Looks every embedding up; returns where each came from."""

    async def compute(number: int) -> dict[str, np.ndarray]:
        return {"hidden_states": np.full(EMBEDDING_BYTES // 4, number, np.float32)}

    lookups = [await cache.get_or_compute(str(n), functools.partial(compute, n)) for n in range(EMBEDDINGS)]
    assert [int(lookup.value["hidden_states"][0]) for lookup in lookups] == list(range(EMBEDDINGS))
    return [lookup.source for lookup in lookups]


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded as in the manifests", "without a bound"])
async def test_embeddings_survive_many_kept_results(server: RedisProcess, bounded: bool) -> None:
    result_bytes = int(part_of_results() * MOST) if bounded else 1 << 40
    async with orchestrator(server, result_bytes) as first:
        assert await embed(first) == ["computed"] * EMBEDDINGS
        for number in range(RESULTS):
            await until_stored(first.results.put(f"call-{number}", b"x" * RESULT_BYTES, 3600, f"tenant-{number % 3}"))
    info = redis.Redis.from_url(server.url).info()
    async with orchestrator(server, result_bytes) as second:
        sources = await embed(second)
        latest = await second.results.get(f"call-{RESULTS - 1}")
    if bounded:
        assert latest == b"x" * RESULT_BYTES
        assert sources == ["redis"] * EMBEDDINGS
        assert info["evicted_keys"] == 0  # type: ignore[index]  # of the synchronous client
    else:
        # Else this test would show nothing: the results are more than Redis holds.
        assert sources.count("computed") > EMBEDDINGS // 2
