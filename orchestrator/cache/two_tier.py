"""The cache that the pipeline sees: memory, then Redis, then computing it, once for everyone who asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from orchestrator.cache.codec import CacheCorrupt, decode, encode, seal, unseal
from orchestrator.cache.memory import MemoryTier
from orchestrator.cache.redis_tier import RedisTier
from orchestrator.cache.single_flight import SingleFlight

log = structlog.get_logger("orchestrator.cache")

Arrays = dict[str, npt.NDArray[Any]]
Source = Literal["memory", "redis", "computed"]


class CacheObserver(Protocol):
    """Hears where each look-up was answered ("memory", "redis", "computed"; "miss" for bytes that are nowhere) and
    what went wrong ("corrupt", "redis_timeout", "redis_error", "redis_dropped", "breaker_opened", "breaker_closed").
    """

    def on_lookup(self, outcome: str) -> None: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Lookup:
    """An answer: named read-only arrays, and where they came from."""

    value: Arrays
    source: Source


class TwoTierCache:
    """Content-addressed arrays, and results by name. Redis may be down, slow or full of garbage: requests succeed.

    Made where the event loop runs: it connects in the background, and Redis is left out until that has gone well.

    Args:
        redis_url: of the shared tier; None keeps everything in this process.
        memory_bytes: bound of the in-process tier.
        ttl_s: how long arrays are kept.
        redis_timeout_ms: for a look-up; what a Redis that does not answer adds to one request before it is left alone.
        namespace: in front of every key in Redis.
        observer: hears what happens.

    Raises:
        ValueError: the URL has no scheme that Redis knows.
    """

    def __init__(
        self,
        redis_url: str | None,
        *,
        memory_bytes: int = 256 << 20,
        ttl_s: int = 86_400,
        redis_timeout_ms: float = 15,
        namespace: str = "backdrop",
        observer: CacheObserver | None = None,
    ) -> None:
        self._ttl_s = ttl_s
        self._namespace = namespace
        self._observer = observer
        self._memory: MemoryTier[Arrays | bytes] = MemoryTier(memory_bytes)
        self._flights: SingleFlight[tuple[Arrays, Source]] = SingleFlight()
        self._redis = RedisTier(redis_url, timeout_s=redis_timeout_ms / 1000, heard=self._heard) if redis_url else None

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup:
        """Returns the arrays under `key`, computing and keeping them if no tier has them.

        Callers with the same key at the same time share one look-up and one `compute`, and get one another's
        exception if it fails; nothing is kept then. `compute` is cancelled when the last of them is.
        """
        name = self._name("a", key)
        known = self._memory.get(name)
        if isinstance(known, dict):
            self._heard("memory")
            return Lookup(dict(known), "memory")
        value, source = await self._flights.run(name, lambda: self._fetch(name, compute))
        self._heard(source)
        return Lookup(dict(value), source)

    async def get_bytes(self, key: str) -> bytes | None:
        """Returns what `set_bytes` kept under `key`, or None."""
        name = self._name("b", key)
        known = self._memory.get(name)
        if isinstance(known, bytes):
            self._heard("memory")
            return known
        stored = await self._redis.get_large(name) if self._redis else None
        if stored is not None:
            try:
                data = bytes(unseal(stored, name.encode()))
            except CacheCorrupt as problem:
                self._corrupt(name, problem)
            else:
                self._heard("redis")
                return data
        self._heard("miss")
        return None

    async def set_bytes(self, key: str, data: bytes, ttl_s: int) -> None:
        """Keeps `data` under `key` for `ttl_s` seconds, in both tiers if they can."""
        name = self._name("b", key)
        self._memory.put(name, data, len(data), ttl_s)
        if self._redis:
            await self._redis.put_soon(name, seal(data, name.encode()), ttl_s)

    async def close(self) -> None:
        """Finishes what is being written and closes the connections."""
        if self._redis:
            await self._redis.close()

    async def _fetch(self, name: str, compute: Callable[[], Awaitable[Arrays]]) -> tuple[Arrays, Source]:
        context = name.encode()
        stored = await self._redis.get(name) if self._redis else None
        if stored is not None:
            try:
                value = decode(stored, context)
            except CacheCorrupt as problem:
                # It is computed again, and overwritten.
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
        self._heard("corrupt")

    def _heard(self, outcome: str) -> None:
        if self._observer is not None:
            self._observer.on_lookup(outcome)


def _owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only copy: the computer's own may be a view that keeps a whole batch alive, or be written to later."""
    copy = np.array(array, order="C", copy=True)
    copy.flags.writeable = False
    return copy
