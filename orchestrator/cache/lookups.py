"""One request's view of the cache: keys by content and fingerprint, and how many look-ups each tier answered."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from orchestrator.cache import Lookup, key

Arrays = dict[str, npt.NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class CacheReport:
    """Where one request's cache look-ups were answered."""

    memory_hits: int
    redis_hits: int
    misses: int


class ArrayCache(Protocol):
    """The part of `TwoTierCache` that stages use."""

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[Arrays]]) -> Lookup: ...


class RequestLookups:
    """Looks up arrays by the inputs that they were computed from."""

    def __init__(self, cache: ArrayCache) -> None:
        self._cache = cache
        self._sources: collections.Counter[str] = collections.Counter()

    async def arrays(
        self,
        kind: str,
        fingerprint: str,
        parts: Mapping[str, npt.NDArray[Any]],
        compute: Callable[[], Awaitable[Arrays]],
    ) -> Mapping[str, npt.NDArray[Any]]:
        """Returns the result of `compute`, or the cached one of the same kind, fingerprint and parts."""
        content = [
            piece
            for name, array in sorted(parts.items())
            for piece in (f"{name} {array.dtype} {array.shape}".encode(), np.ascontiguousarray(array).tobytes())
        ]
        lookup = await self._cache.get_or_compute(key(kind, fingerprint, *content), compute)
        self._sources[lookup.source] += 1
        return lookup.value

    def report(self) -> CacheReport:
        """How many look-ups each tier has answered so far."""
        return CacheReport(self._sources["memory"], self._sources["redis"], self._sources["computed"])
