"""What the batcher knows of one model: its running batches, what batches cost, and how soon callers return."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Iterable

from orchestrator.scheduling.batch_sizing import BatchSizing, for_latency, for_throughput
from orchestrator.scheduling.call import Batch, Call, Entry, Reservation, Shape
from orchestrator.scheduling.cost import BatchCost
from orchestrator.scheduling.merge import Merger

# Assumed time from the end of a batch to the next call of a caller, until the first one is measured.
_FIRST_RETURN_S = 0.001
# Weight of the latest return in the moving average: about ten returns count, so one late caller changes little.
_RETURN_SMOOTHING = 0.1
# A reservation is kept for this many mean return times, within bounds.
_RESERVATION_RETURNS = 4.0
_MIN_RESERVATION_S, _MAX_RESERVATION_S = 0.002, 0.05
# Time on the network to the server and back: part of the gap between batches, but not of their durations.
_ROUND_TRIP_S = 0.003
# An urgent batch takes calls of lower classes along if they lengthen it by at most a quarter.
_MAX_SLOWDOWN = 1.25


@dataclasses.dataclass(frozen=True)
class Capacity:
    """What serves a model now."""

    addresses: frozenset[str]
    """Of its replicas."""
    max_rows: int
    """Of a batch."""

    @property
    def replicas(self) -> int:
        """Number of replicas."""
        return len(self.addresses)


class ModelQueue:
    """One model on all its replicas; `new_cost` makes what learns the cost of one shape."""

    def __init__(self, new_cost: Callable[[], BatchCost] = BatchCost) -> None:
        self.batches: set[Batch] = set()
        """Batches that were sent and are not done."""
        self.costs: collections.defaultdict[Shape, BatchCost] = collections.defaultdict(new_cost)
        self.merger = Merger()
        self.awaited: set[Reservation] = set()
        """Reservations that the next batch waits for."""
        self._return_s = _FIRST_RETURN_S
        self._timer: asyncio.TimerHandle | None = None

    @property
    def reservation_s(self) -> float:
        """How long a reservation is kept."""
        return min(_MAX_RESERVATION_S, max(_MIN_RESERVATION_S, _RESERVATION_RETURNS * self._return_s))

    def record_return(self, after_s: float) -> None:
        """Adds the time that a caller took from the end of its batch to its next call."""
        self._return_s += _RETURN_SMOOTHING * (after_s - self._return_s)

    def returning_rows(self, shape: Shape) -> int:
        """Rows in running batches whose callers will call again."""
        calls = (call for batch in self.batches for call in batch.calls)
        return sum(call.rows for call in calls if call.again and call.shape == shape)

    def sizing(self, shape: Shape, waiting: int, capacity: Capacity, *, saturated: bool) -> BatchSizing:
        """How to batch rows of a shape, `waiting` of which wait or have a reservation."""
        present = (waiting + self.returning_rows(shape)) / capacity.replicas
        aim = for_throughput if saturated else for_latency
        return aim(self.costs[shape].seconds, present, capacity.max_rows, self._return_s + _ROUND_TRIP_S)

    def additions(self, shape: Shape, rows: int, lower: Iterable[Entry], capacity: Capacity) -> list[Entry]:
        """Calls of lower classes that a batch of so many rows takes along, because they hardly slow it."""
        seconds, entries, total = self.costs[shape].seconds, list[Entry](), rows
        for entry in lower:
            total += entry.rows
            too_slow = seconds(total) > _MAX_SLOWDOWN * seconds(rows)
            if not isinstance(entry, Call) or total > capacity.max_rows or too_slow:
                break
            entries.append(entry)
        return entries

    def sent(self, batch: Batch, *, overlapped: bool) -> None:
        """Records that a batch leaves; `overlapped`: it waits for another one, or another one for it."""
        self.batches.add(batch)
        if overlapped:
            for each in self.batches:
                each.overlapped = True

    def done(self, batch: Batch, seconds: float | None) -> None:
        """Records the end of a batch and its duration; None if the duration says nothing about the model."""
        self.batches.remove(batch)
        if not batch.overlapped and seconds is not None:
            self.costs[batch.calls[0].shape].record(batch.rows, seconds)

    def await_callers(self, entries: Iterable[Entry], on_expiry: Callable[[], None]) -> None:
        """Waits for the callers with reservations among the entries; the first to expire calls `on_expiry`."""
        self.awaited = {entry for entry in entries if isinstance(entry, Reservation)}
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(min(each.expires_at for each in self.awaited), on_expiry)
