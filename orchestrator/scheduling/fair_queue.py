"""A queue in fair order: classes by weight, tenants of a class equally, a tenant's requests by deadline and work."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from backdrop.contract.parts import Priority
from orchestrator.scheduling.fair_share import FairShare
from orchestrator.scheduling.priority import WEIGHTS
from orchestrator.scheduling.request import ScheduledRequest

OLDEST_EVERY = 4
"""Every fourth turn of a tenant goes to its oldest entry, however much work that has left."""
OLDEST_EVERY_TIGHT = 16
"""The same while one of the tenant's deadlines is tight."""


class Queued(Protocol):
    """What can be queued."""

    @property
    def request(self) -> ScheduledRequest:
        """The request that it belongs to."""


Q = TypeVar("Q", bound=Queued)


class FairQueue(Generic[Q]):
    """Entries that wait. Without deadlines, the order depends on arrivals and services alone, not on time."""

    def __init__(self) -> None:
        self._waiting: list[Q] = []  # by arrival
        self._classes = FairShare()
        self._tenants = {priority: FairShare() for priority in Priority}
        self._turns: collections.Counter[tuple[Priority, str]] = collections.Counter()
        self.changes = 0
        """How often an entry came or went: what was computed from the queue holds while it is the same."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Q]:
        return iter(self._waiting)

    def push(self, entry: Q) -> None:
        """Adds an entry as the latest arrival."""
        self._waiting.append(entry)
        self.changes += 1

    def discard(self, entry: Q) -> None:
        """Removes an entry without serving it; nothing happens if it does not wait."""
        if entry in self._waiting:
            self._waiting.remove(entry)
            self.changes += 1

    def replace(self, entry: Q, other: Q) -> None:
        """Puts `other` where `entry` is; ValueError if that does not wait."""
        self._waiting[self._waiting.index(entry)] = other
        self.changes += 1

    def first(self, eligible: Callable[[Q], bool] = lambda entry: True) -> Q | None:
        """The next of the eligible entries; None if there is none."""
        return next(self.ranked(eligible), None)

    def ranked(self, eligible: Callable[[Q], bool] = lambda entry: True) -> Iterator[Q]:
        """The eligible entries in the order of the moment: no entry is charged before the next one is ranked."""
        groups: dict[tuple[Priority, str], list[Q]] = {}
        for entry in self._waiting:
            if eligible(entry):
                groups.setdefault((entry.request.priority, entry.request.tenant), []).append(entry)
        # Sorting is stable: of equal tenants the one that came first is first.
        for priority, tenant in sorted(groups, key=self._rank):
            yield from _by_deadline_and_work(groups[priority, tenant], self._turns[priority, tenant])

    def _rank(self, group: tuple[Priority, str]) -> tuple[float, Priority, float]:
        priority, tenant = group
        return self._classes.tag(priority), priority, self._tenants[priority].tag(tenant)

    def outranks(self, one: ScheduledRequest, other: ScheduledRequest) -> bool:
        """Whether `one` is of another class than `other`, and that class is to be served first."""
        first, second = one.priority, other.priority
        return first is not second and (self._classes.tag(first), first) < (self._classes.tag(second), second)

    def serve(self, entry: Q, cost: float) -> None:
        """Removes an entry that gets its turn, and charges its class and tenant."""
        self._waiting.remove(entry)
        self.changes += 1
        priority, tenant = entry.request.priority, entry.request.tenant
        self._classes.charge(priority, cost / WEIGHTS[priority])
        self._tenants[priority].charge(tenant, cost)
        self._turns[priority, tenant] += 1
        if not any(other.request.tenant == tenant for other in self._waiting):
            del self._turns[priority, tenant]

    def projected(self) -> list[Q]:
        """All entries in the order of service if no other arrives and each costs the remaining work of its request."""
        copy: FairQueue[Q] = FairQueue()
        copy._waiting, copy._classes = list(self._waiting), self._classes.copy()
        copy._tenants = {priority: share.copy() for priority, share in self._tenants.items()}
        copy._turns = self._turns.copy()
        entries: list[Q] = []
        while (entry := copy.first()) is not None:
            copy.serve(entry, entry.request.work)
            entries.append(entry)
        return entries


def _by_deadline_and_work(entries: list[Q], turn: int) -> Iterator[Q]:
    """A tenant's entries in order; `turn` counts the turns that the tenant has had.

    Entries due no later than the last tight deadline come first, those with the least work left before the others. So
    a request that has begun and is not tight yet is not overtaken by a later one that is.
    """
    tight_until = max((entry.request.due for entry in entries if entry.request.tight()), default=-math.inf)
    every = OLDEST_EVERY if tight_until == -math.inf else OLDEST_EVERY_TIGHT
    if turn % every == every - 1:
        yield entries.pop(0)
    yield from sorted(entries, key=lambda entry: (entry.request.due > tight_until, entry.request.work))
