"""What decides the order of those who wait: class, tenant, and how much they have left to do."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

from backdrop.contract.parts import Priority

WEIGHTS = {Priority.INTERACTIVE: 16.0, Priority.STANDARD: 4.0, Priority.BULK: 1.0}
"""Shares of the classes while each has something to do."""


TIGHT = 2.0
"""A deadline is tight when it leaves less than so many times what is needed at best."""


def unknown() -> float:
    """What is needed at best where nothing is known of it, in seconds."""
    return 0.0


@dataclasses.dataclass(eq=False)
class Applicant:
    """A request as the order sees it."""

    tenant: str
    priority: Priority
    work: float
    """Rows × steps × megapixels that it has left; falls as its turns are given."""
    due: float = math.inf
    """Its deadline, in time.monotonic seconds."""
    need_s: Callable[[], float] = unknown
    """Seconds that what is left of it takes at best, as far as is known now."""

    @property
    def left_s(self) -> float:
        """Seconds until its deadline."""
        return self.due - time.monotonic()

    def tight(self) -> bool:
        """Whether it should be served before others, so as not to miss its deadline."""
        return self.due < math.inf and self.left_s < TIGHT * self.need_s()

    def lost(self) -> bool:
        """Whether its deadline is missed whatever is done."""
        return self.due < math.inf and self.left_s < self.need_s()


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
