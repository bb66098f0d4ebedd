"""What one orchestrator grants by itself while Redis does not answer: its share of every quota."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestrator.quotas.limits import CONCURRENT, WORK, Limits

_MINUTE_S = 60.0


class LocalShare:
    """The running requests of this process by tenant, and a token bucket of work for each tenant. For one thread.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, tenant: str, running: int, work: float, limits: Limits) -> tuple[str, float]:
        """The name of the quota that is spent, or "", and the seconds until it may be enough again (0 = unknown).

        `running`: the tenant's requests in this process, whoever granted them.
        """
        if 0 < limits.concurrent_requests <= running:
            return CONCURRENT, 0.0
        capacity = limits.row_step_megapixels_per_minute
        if capacity > 0:
            level, need = self._level(tenant, capacity), min(work, capacity)
            if level < need:
                return WORK, (need - level) * _MINUTE_S / capacity
            self._set(tenant, level - work)
        return "", 0.0

    def give(self, tenant: str, unspent: float, limits: Limits) -> None:
        """Takes back work that was granted and not done."""
        capacity = limits.row_step_megapixels_per_minute
        if capacity > 0:
            self._set(tenant, min(capacity, self._level(tenant, capacity) + unspent))

    def spent(self, tenant: str, limits: Limits) -> float:
        """Work that has not refilled yet."""
        capacity = limits.row_step_megapixels_per_minute
        return capacity - self._level(tenant, capacity)

    def _level(self, tenant: str, capacity: float) -> float:
        level, at = self._buckets.get(tenant, (capacity, self._clock()))
        return min(capacity, level + (self._clock() - at) * capacity / _MINUTE_S)

    def _set(self, tenant: str, level: float) -> None:
        self._buckets[tenant] = level, self._clock()
