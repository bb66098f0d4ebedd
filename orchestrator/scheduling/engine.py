"""What the batcher knows of a model: what is out, what its batches cost, and how soon its callers come back."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Iterable

from orchestrator.scheduling.call import Batch, Seat, Shape
from orchestrator.scheduling.cost import BatchCost
from orchestrator.scheduling.merge import Merger
from orchestrator.scheduling.plan import Plan, fastest, soonest

_FIRST_RETURN_S = 0.001
_LEAST_PATIENCE_S, _MOST_PATIENCE_S = 0.002, 0.05
# A late one is worth so many usual returns of waiting.
_PATIENCE = 4.0
# There and back between us and the server, which no batch shows apart.
_WAY_S = 0.003
# What company of lower classes may make of a batch's time.
_PASSENGERS = 1.25


@dataclasses.dataclass(frozen=True)
class Capacity:
    """What serves a model now: which replicas, and how many rows a batch may have."""

    where: frozenset[str]
    max_rows: int

    @property
    def replicas(self) -> int:
        """How many there are."""
        return len(self.where)


class Engine:
    """One model, on all its replicas; `new_cost` makes what learns the cost of one shape."""

    def __init__(self, new_cost: Callable[[], BatchCost] = BatchCost) -> None:
        self.batches: set[Batch] = set()
        self.costs: collections.defaultdict[Shape, BatchCost] = collections.defaultdict(new_cost)
        self.merger = Merger()
        self.awaited: set[Seat] = set()
        """Seats of the next batch whose callers are on their way."""
        self._return_s = _FIRST_RETURN_S
        self._timer: asyncio.TimerHandle | None = None

    @property
    def patience_s(self) -> float:
        """How long a caller who is expected back is waited for."""
        return min(_MOST_PATIENCE_S, max(_LEAST_PATIENCE_S, _PATIENCE * self._return_s))

    def came_back(self, after_s: float) -> None:
        """A caller called again so long after its batch had ended."""
        self._return_s += 0.1 * (after_s - self._return_s)

    def rows_to_come(self, shape: Shape) -> int:
        """Rows that are out and will come again."""
        calls = (call for batch in self.batches for call in batch.calls)
        return sum(call.rows for call in calls if call.again and call.shape == shape)

    def plan(self, shape: Shape, waiting: int, capacity: Capacity, *, saturated: bool) -> Plan:
        """What to do with the rows of a shape, of which so many wait or are on their way back."""
        present = (waiting + self.rows_to_come(shape)) / capacity.replicas
        aim = fastest if saturated else soonest
        return aim(self.costs[shape].seconds, present, capacity.max_rows, self._return_s + _WAY_S)

    def passengers(self, shape: Shape, rows: int, below: Iterable[Seat], capacity: Capacity) -> list[Seat]:
        """Of lower classes, those whom a batch of so many rows takes along because they hardly slow it."""
        seconds, found, full = self.costs[shape].seconds, list[Seat](), rows
        for seat in below:
            full += seat.rows
            if not seat.here or full > capacity.max_rows or seconds(full) > _PASSENGERS * seconds(rows):
                break
            found.append(seat)
        return found

    def sent(self, batch: Batch, *, crowded: bool) -> None:
        """A batch leaves; `crowded` says that it will wait for another, or another for it."""
        self.batches.add(batch)
        if crowded:
            for each in self.batches:
                each.alone = False

    def done(self, batch: Batch, seconds: float | None) -> None:
        """A batch has ended: after so long, or None where that says nothing."""
        self.batches.remove(batch)
        if batch.alone and seconds is not None:
            self.costs[batch.calls[0].shape].record(batch.rows, seconds)

    def wait(self, seats: Iterable[Seat], then: Callable[[], None]) -> None:
        """Awaits the callers of those seats that have no call; calls `then` when the first has lost its seat."""
        self.awaited = {seat for seat in seats if not seat.here}
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(min(seat.expires for seat in self.awaited), then)
