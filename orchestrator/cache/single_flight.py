"""Single flight: callers who want the same thing at the same time share one computation of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class _Flight(Generic[_T]):
    def __init__(self, task: asyncio.Task[_T]) -> None:
        self.task = task
        self.passengers = 0


class SingleFlight(Generic[_T]):
    """The computation belongs to no caller: it runs in a task of its own for as long as anyone wants it.

    So a caller who leaves, the first one included, costs the others nothing, not even a second start. When the last
    one leaves, the computation is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[_T]] = {}

    async def run(self, key: str, compute: Callable[[], Awaitable[_T]]) -> _T:
        """Returns what `compute` returns, or raises what it raises, to everyone who came while it ran."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_awaited(compute)))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.passengers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                # Out of the book first: whoever comes now must not board a flight that is being cancelled.
                del self._flights[key]
                flight.task.cancel()

    def _landed(self, key: str, task: asyncio.Task[_T]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            # Marks an exception as seen even if everyone left at the last moment.
            task.exception()


async def _awaited(compute: Callable[[], Awaitable[_T]]) -> _T:
    return await compute()
