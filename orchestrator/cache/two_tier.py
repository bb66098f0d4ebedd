"""The cache of the pipeline: memory, then Redis, then one computation for all callers of a key."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from orchestrator.cache.address import UnservedRedisError
from orchestrator.cache.codec import CacheCorrupt, decode, encode
from orchestrator.cache.memory import MemoryTier
from orchestrator.cache.redis_tier import RedisTier
from orchestrator.cache.results import ResultStore
from orchestrator.cache.single_flight import SingleFlight

log = structlog.get_logger("orchestrator.cache")

Arrays = dict[str, npt.NDArray[Any]]
Source = Literal["memory", "redis", "computed"]
_RESULTS_PART = 4
"""Results take a quarter of the memory."""


class CacheObserver(Protocol):
    """Is told where each look-up was answered ("memory", "redis", "computed"; "miss" for bytes that are in neither) and
    what failed ("corrupt", "redis_timeout", "redis_error", "redis_refused", "redis_dropped", "breaker_opened",
    "breaker_closed").
    """

    def on_lookup(self, outcome: str) -> None: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """The result of a look-up: named read-only arrays, and where they came from."""

    value: Arrays
    source: Source


class TwoTierCache:
    """Content-addressed arrays, and results by name. Requests succeed while Redis is down, slow or holds garbage.

    Made inside the event loop: it connects in the background, and does not use Redis before it is connected.

    Args:
        redis_url: of the shared tier; None keeps everything in this process.
        memory_bytes: bound of the in-process tier; results take at most a quarter of it.
        ttl_s: how long arrays are kept.
        result_bytes: bound of the results that Redis keeps.
        redis_timeout_ms: for a look-up; at most so long does a Redis that does not answer delay one request, until the
            breaker opens.
        namespace: in front of every key in Redis.
        observer: is told of each look-up and each failure.

    Raises:
        ValueError: the URL has no scheme that Redis knows.
    """

    def __init__(
        self,
        redis_url: str | None,
        *,
        memory_bytes: int = 256 << 20,
        ttl_s: int = 86_400,
        result_bytes: int = 256 << 20,
        redis_timeout_ms: float = 15,
        namespace: str = "backdrop",
        observer: CacheObserver | None = None,
    ) -> None:
        self._ttl_s = ttl_s
        self._namespace = namespace
        self._observer = observer
        self._memory: MemoryTier[Arrays] = MemoryTier(memory_bytes - memory_bytes // _RESULTS_PART)
        self._flights: SingleFlight[tuple[Arrays, Source]] = SingleFlight()
        self._redis = (
            RedisTier(redis_url, timeout_s=redis_timeout_ms / 1000, report=self._report) if redis_url else None
        )
        self.results = ResultStore(
            self._redis,
            memory_bytes=memory_bytes // _RESULTS_PART,
            redis_bytes=result_bytes,
            namespace=namespace,
            report=self._report,
        )
        """Whole results, in a part of the memory and of Redis."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup:
        """Returns the arrays under `key`, computing and keeping them if no tier has them.

        Callers with the same key at the same time share one look-up and one `compute`. If it fails, all of them get
        its exception, and nothing is kept. `compute` is cancelled when the last of them is.
        """
        name = self._name("a", key)
        kept = self._memory.get(name)
        if kept is not None:
            self._report("memory")
            return Lookup(dict(kept), "memory")
        value, source = await self._flights.run(name, lambda: self._fetch(name, compute))
        self._report(source)
        return Lookup(dict(value), source)

    @property
    def redis(self) -> RedisTier | None:
        """The shared tier, for what else all orchestrators count and hold together."""
        return self._redis

    @property
    def redis_available(self) -> bool:
        """Whether Redis is used now; False without one."""
        return self._redis is not None and self._redis.available

    async def expect_served(self) -> None:
        """Waits for the first answer of Redis; one that does not answer is waited for in the background.

        Raises:
            UnservedRedisError: it answers, and is of a kind that is not served: a member of a cluster, or a Sentinel.
        """
        if self._redis and (why := await self._redis.unserved()):
            raise UnservedRedisError(f"BACKDROP_REDIS_URL: {why}")

    async def close(self) -> None:
        """Finishes pending writes and closes the connections."""
        if self._redis:
            await self._redis.close()

    async def _fetch(self, name: str, compute: Callable[[], Awaitable[Arrays]]) -> tuple[Arrays, Source]:
        context = name.encode()
        stored = await self._redis.get(name) if self._redis else None
        if stored is not None:
            try:
                value = decode(stored, context)
            except CacheCorrupt as problem:
                # The value is computed again and overwrites the entry.
                self._corrupt(name, problem)
            else:
                self._memory.put(name, value, len(stored), self._ttl_s)
                return value, "redis"
        value = {part: _owned(array) for part, array in (await compute()).items()}
        self._memory.put(name, value, sum(array.nbytes for array in value.values()), self._ttl_s)
        if self._redis and self._redis.available:
            self._redis.put(name, encode(value, context), self._ttl_s)
        return value, "computed"

    def _name(self, kind: str, key: str) -> str:
        return f"{self._namespace}:{kind}:{key}"

    def _corrupt(self, name: str, problem: CacheCorrupt) -> None:
        log.warning("corrupt cache entry", key=name, why=str(problem))
        self._report("corrupt")

    def _report(self, outcome: str) -> None:
        if self._observer is not None:
            self._observer.on_lookup(outcome)


def _owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only copy: the original may be a view that keeps a whole batch alive, or may be changed later."""
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    return copy
