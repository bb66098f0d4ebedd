"""The replicas there are, and which of them a call may go to: not every one serves every model."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from orchestrator.triton.replica import Replica, Standing


class Fleet:
    """Replicas by address, and an event for whoever waits for one."""

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self._change = asyncio.Event()

    def changed(self) -> None:
        """Wakes everybody in `wait_change`."""
        self._change.set()
        self._change = asyncio.Event()

    async def wait_change(self) -> None:
        """Returns when a replica's standing has changed."""
        await self._change.wait()

    def ready(self, model: str | None = None) -> list[Replica]:
        """Replicas in service; with a model, those that serve it."""
        return [r for r in self.replicas.values() if r.standing is Standing.READY and model not in r.lacks]

    def usable(self, model: str) -> list[Replica]:
        """Those that a call may go to: the ready ones or, where there are none, those under suspicion."""
        return self.ready(model) or [
            r for r in self.replicas.values() if r.standing is Standing.SUSPECT and model not in r.lacks
        ]

    def scarcest(self, models: Collection[str]) -> int:
        """How many ready replicas the model has that has fewest: 0 as soon as one of them has none."""
        return min((len(self.ready(model)) for model in models), default=len(self.ready()))

    def can_do_without(self, replica: Replica) -> bool:
        """Whether some other ready replica serves everything that this one serves."""
        return any(other is not replica and other.lacks.keys() <= replica.lacks.keys() for other in self.ready())


def least_loaded(replicas: Collection[Replica]) -> Replica:
    """The one with the fewest rows outstanding; of several, the one that was used longest ago."""
    return min(replicas, key=lambda replica: (replica.outstanding, replica.last_used))
