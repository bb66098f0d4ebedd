"""The first tier: the most recently used values in this process, bounded by bytes."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from typing import Generic, TypeVar

_V = TypeVar("_V")

# Memory of an entry apart from its data: keys, array objects, and links.
ENTRY_OVERHEAD_BYTES = 512


class MemoryTier(Generic[_V]):
    """Drops the least recently used values first. For one thread.

    Args:
        limit_bytes: of all values together, each counted with its overhead; 0 keeps nothing.
        clock: seconds that only grow.
    """

    def __init__(self, limit_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._entries: collections.OrderedDict[str, tuple[_V, int, float]] = collections.OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> _V | None:
        """Returns the value, now the most recently used, or None if there is none or it has expired."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, _, expires = entry
        if expires <= self._clock():
            self.discard(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: _V, size_bytes: int, ttl_s: float) -> None:
        """Keeps a value of `size_bytes` for `ttl_s` seconds, unless it is larger than the whole tier."""
        self.discard(key)
        size_bytes += ENTRY_OVERHEAD_BYTES
        if size_bytes > self._limit_bytes:
            return
        self._entries[key] = (value, size_bytes, self._clock() + ttl_s)
        self.size_bytes += size_bytes
        while self.size_bytes > self._limit_bytes:
            self.discard(next(iter(self._entries)))

    def discard(self, key: str) -> None:
        """Drops a value, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry[1]
