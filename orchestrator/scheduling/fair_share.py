"""Equal shares of a server, by virtual time."""

from __future__ import annotations


class FairShare:
    """Start-time fair queueing (Goyal et al. 1996): the name with the smallest tag is served next.

    A name that was idle comes back at the current virtual time: an idle tenant does not accumulate credit.
    """

    def __init__(self) -> None:
        self._virtual_time = 0.0  # the start tag of the latest service
        self._finish: dict[object, float] = {}

    def tag(self, name: object) -> float:
        """Virtual time at which the next service of `name` starts."""
        return max(self._finish.get(name, 0.0), self._virtual_time)

    def charge(self, name: object, cost: float) -> None:
        """Records a service of `name`; `cost` is already divided by its weight."""
        start = self.tag(name)
        self._virtual_time = max(self._virtual_time, start)
        self._finish[name] = start + cost
        # Names that have no lead need no entry: tenants come and go.
        self._finish = {other: finish for other, finish in self._finish.items() if finish > self._virtual_time}

    def copy(self) -> FairShare:
        """An independent copy, to project services that may not happen."""
        copy = FairShare()
        copy._virtual_time, copy._finish = self._virtual_time, dict(self._finish)
        return copy
