"""All replicas, and which of them a call may go to: a replica may serve a part of the models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from orchestrator.triton.replica import Replica, Standing


class Fleet:
    """Replicas by address, and an event for calls that wait for one."""

    def __init__(self) -> None:
        self.replicas: dict[str, Replica] = {}
        self._change = asyncio.Event()

    def changed(self) -> None:
        """Wakes every call in `wait_change`."""
        self._change.set()
        self._change = asyncio.Event()

    async def wait_change(self) -> None:
        """Returns when a replica's standing has changed."""
        await self._change.wait()

    def ready(self, model: str | None = None) -> list[Replica]:
        """Replicas in service; with a model, those that serve it."""
        return [r for r in self.replicas.values() if r.standing is Standing.READY and model not in r.lacks]

    def usable(self, model: str) -> list[Replica]:
        """Replicas that a call may go to: the ready ones or, if there are none, the suspect ones."""
        return self.ready(model) or [
            r for r in self.replicas.values() if r.standing is Standing.SUSPECT and model not in r.lacks
        ]

    def scarcest(self, models: Collection[str]) -> int:
        """Number of ready replicas of the model that has fewest."""
        return min((len(self.ready(model)) for model in models), default=len(self.ready()))

    def can_do_without(self, replica: Replica) -> bool:
        """Whether another ready replica serves every model that this one serves."""
        return any(other is not replica and other.lacks.keys() <= replica.lacks.keys() for other in self.ready())


def least_loaded(replicas: Collection[Replica]) -> Replica:
    """The replica with the fewest rows outstanding; of several, the one that was used longest ago."""
    return min(replicas, key=lambda replica: (replica.outstanding, replica.last_used))
