"""A request as the queues see it: class, tenant, remaining work and deadline."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

from backdrop.contract.parts import Priority

TIGHT_FACTOR = 2.0
"""A deadline is tight when less than this many times the need is left until it."""


def unknown_need() -> float:
    """The need in seconds while no durations are known: every deadline can be met."""
    return 0.0


@dataclasses.dataclass(eq=False)
class ScheduledRequest:
    """One request in the queues of admission and batcher."""

    tenant: str
    priority: Priority
    work: float
    """Remaining rows × steps × megapixels; falls with every call that leaves."""
    due: float = math.inf
    """Deadline, in time.monotonic seconds."""
    need_s: Callable[[], float] = unknown_need
    """Least seconds in which the request can finish from where it stands now."""
    size_bytes: int = 0
    """Of its encoded pictures."""

    @property
    def remaining_s(self) -> float:
        """Seconds until the deadline."""
        return self.due - time.monotonic()

    def tight(self) -> bool:
        """Whether the request must be served before others to meet its deadline."""
        return self.due < math.inf and self.remaining_s < TIGHT_FACTOR * self.need_s()

    def lost(self) -> bool:
        """Whether the request cannot meet its deadline any more."""
        return self.due < math.inf and self.remaining_s < self.need_s()
