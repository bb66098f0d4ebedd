"""What decides the order of those who wait: class, tenant, and how much they have left to do."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable


class Priority(enum.IntEnum):
    """Classes of requests; the values are those of `backdrop.v1.Priority`."""

    INTERACTIVE = 1
    STANDARD = 2
    BULK = 3


WEIGHTS = {Priority.INTERACTIVE: 16.0, Priority.STANDARD: 4.0, Priority.BULK: 1.0}
"""Shares of the classes while each has something to do."""


def never() -> bool:
    """Of a request without a deadline."""
    return False


@dataclasses.dataclass(eq=False)
class Applicant:
    """A request as the order sees it."""

    tenant: str
    priority: Priority
    work: float
    """Rows × steps × megapixels that it has left; falls as its turns are given."""
    urgent: Callable[[], bool] = never
    """Whether its deadline is getting tight."""


class FairShare:
    """Virtual time by start tags (Goyal et al. 1996): who has had the least of late is next.

    Whoever was away comes back level with the one that is served now: idle time is not saved up.
    """

    def __init__(self) -> None:
        self._served = 0.0  # the start tag of what was served last
        self._finish: dict[object, float] = {}

    def tag(self, name: object) -> float:
        """The least is next."""
        return max(self._finish.get(name, 0.0), self._served)

    def charge(self, name: object, cost: float) -> None:
        """`name` was served, at a cost that its weight has divided."""
        start = self.tag(name)
        self._served = max(self._served, start)
        self._finish[name] = start + cost
        # Those that are level again need no entry: tenants come and go.
        self._finish = {other: finish for other, finish in self._finish.items() if finish > self._served}

    def copy(self) -> FairShare:
        """The same, to try something out on."""
        made = FairShare()
        made._served, made._finish = self._served, dict(self._finish)
        return made
