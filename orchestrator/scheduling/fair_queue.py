"""A queue in fair order: classes by weight, tenants of a class equally, a tenant's requests by deadline and size."""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from backdrop.contract.parts import Priority
from orchestrator.scheduling.order import WEIGHTS, Applicant, FairShare

OLDEST_EVERY = 4
"""Every so many turns of a tenant go to its oldest request, however much that has left to do."""
OLDEST_EVERY_TIGHT = 16
"""The same while a deadline is tight."""


class Waiting(Protocol):
    """What can be queued."""

    @property
    def applicant(self) -> Applicant:
        """For whom it waits."""


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """Those who wait. Nothing in it knows the time: the same arrivals come out in the same order."""

    def __init__(self) -> None:
        self._waiting: list[W] = []  # in the order of arrival
        self._classes = FairShare()
        self._tenants = {priority: FairShare() for priority in Priority}
        self._turns: collections.Counter[tuple[Priority, str]] = collections.Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[W]:
        return iter(self._waiting)

    def push(self, item: W) -> None:
        """Somebody comes."""
        self._waiting.append(item)

    def discard(self, item: W) -> None:
        """Somebody leaves without having been served, if they still wait."""
        if item in self._waiting:
            self._waiting.remove(item)

    def replace(self, item: W, other: W) -> None:
        """`other` takes the place of `item`; ValueError when that does not wait."""
        self._waiting[self._waiting.index(item)] = other

    def first(self, among: Callable[[W], bool] = lambda item: True) -> W | None:
        """Who is next of those for whom `among` holds; None where nobody waits."""
        return next(self.together(among), None)

    def together(self, among: Callable[[W], bool] = lambda item: True) -> Iterator[W]:
        """Those for whom `among` holds in the order in which they are due now, before any of them is charged."""
        groups: dict[tuple[Priority, str], list[W]] = {}
        for item in self._waiting:
            if among(item):
                groups.setdefault((item.applicant.priority, item.applicant.tenant), []).append(item)
        # Among equal tenants the one that came first: sorting keeps the order of what is equal.
        for priority, tenant in sorted(groups, key=self._rank):
            yield from _by_need(groups[priority, tenant], self._turns[priority, tenant])

    def _rank(self, group: tuple[Priority, str]) -> tuple[float, Priority, float]:
        priority, tenant = group
        return self._classes.tag(priority), priority, self._tenants[priority].tag(tenant)

    def class_before(self, one: Applicant, other: Applicant) -> bool:
        """Whether the class of `one` is another than that of `other`, and due before it."""
        first, second = one.priority, other.priority
        return first is not second and (self._classes.tag(first), first) < (self._classes.tag(second), second)

    def serve(self, item: W, cost: float) -> None:
        """`item` gets its turn, and its class and tenant are charged for it."""
        self._waiting.remove(item)
        priority, tenant = item.applicant.priority, item.applicant.tenant
        self._classes.charge(priority, cost / WEIGHTS[priority])
        self._tenants[priority].charge(tenant, cost)
        self._turns[priority, tenant] += 1
        if not any(other.applicant.tenant == tenant for other in self._waiting):
            del self._turns[priority, tenant]

    def in_order(self) -> list[W]:
        """All who wait, as they would be served if nobody else came, each at the cost of its work."""
        copy: FairQueue[W] = FairQueue()
        copy._waiting, copy._classes = list(self._waiting), self._classes.copy()
        copy._tenants = {priority: share.copy() for priority, share in self._tenants.items()}
        copy._turns = self._turns.copy()
        found: list[W] = []
        while (item := copy.first()) is not None:
            copy.serve(item, item.applicant.work)
            found.append(item)
        return found


def _by_need(some: list[W], turn: int) -> Iterator[W]:
    """A tenant's requests. Those due by the last deadline that is tight go first: without the ones that are due earlier
    and are not tight yet, what had begun would be left lying for what came later, until that is tight too.
    """
    until = max((item.applicant.due for item in some if item.applicant.tight()), default=-math.inf)
    every = OLDEST_EVERY if until == -math.inf else OLDEST_EVERY_TIGHT
    if turn % every == every - 1:
        yield some.pop(0)
    yield from sorted(some, key=lambda item: (item.applicant.due > until, item.applicant.work))
