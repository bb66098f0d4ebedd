"""The place of a request in the queue, as callers are told it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a request stands."""

    position: int
    """Place in the queue: 1 = the next to run, 0 = it runs now."""
    expected_start_s: float
    """Seconds until it runs: the work ahead of it divided by the recent rate."""
