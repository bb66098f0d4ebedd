"""The fake's quotas: one tenant, counted in this process as the contract says."""

from __future__ import annotations

import time
from collections.abc import Collection

from backdrop.errors import Reason, error
from backdrop.v1 import info_service_pb2 as info_pb

CONCURRENT, WORK, STORED = NAMES = ("concurrent_requests", "row_step_megapixels_per_minute", "stored_bytes")
_RETRY_AFTER_S = 0.05


class FakeQuotas:
    """Counts what runs, what was done in the last minute, and what is kept.

    Args:
        quotas: of `GetInfoResponse`; their limits hold, their use is written into them.
    """

    def __init__(self, quotas: Collection[info_pb.Quota]) -> None:
        self._quotas = quotas
        self._running = 0
        self._spent, self._at = 0.0, time.monotonic()
        self.stored_bytes = 0

    def take(self, work: float, *, keyed: bool) -> None:
        """Counts a request that begins, or refuses it."""
        self.count()
        added = {CONCURRENT: 1.0, WORK: work, STORED: 1.0 if keyed else 0.0}
        for quota in self._quotas:
            # Work above a minute's needs a quota that is not used at all.
            if added[quota.name] and quota.used and quota.used + added[quota.name] > quota.limit:
                message = f"the quota {quota.name} of {quota.limit:g} is spent; come back later."
                raise error(Reason.QUOTA_SPENT, message, retry_after_s=_RETRY_AFTER_S, quota=quota.name)
        self._running += 1
        self._spent += work

    def give(self) -> None:
        """Counts a request that ends."""
        self._running -= 1

    def count(self) -> None:
        """Writes the use of the moment into the quotas."""
        now = time.monotonic()
        per_minute = next((quota.limit for quota in self._quotas if quota.name == WORK), 0.0)
        self._spent, self._at = max(0.0, self._spent - (now - self._at) * per_minute / 60.0), now
        used = {CONCURRENT: float(self._running), WORK: self._spent, STORED: float(self.stored_bytes)}
        for quota in self._quotas:
            quota.used = used[quota.name]
