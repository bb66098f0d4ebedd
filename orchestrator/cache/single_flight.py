"""Single flight: callers that need the same value at the same time share one computation of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class _Flight(Generic[_T]):
    def __init__(self, task: asyncio.Task[_T]) -> None:
        self.task = task
        self.callers = 0


class SingleFlight(Generic[_T]):
    """Runs each computation in a task of its own while at least one caller waits for it.

    If a caller is cancelled, even the first one, the others still get the result of the same run. When the last caller
    is cancelled, so is the computation.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[_T]] = {}

    async def run(self, key: str, compute: Callable[[], Awaitable[_T]]) -> _T:
        """Returns what `compute` returns, or raises what it raises, to every caller that came while it ran."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_awaited(compute)))
            flight.task.add_done_callback(lambda task: self._finished(key, task))
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if not flight.callers and not flight.task.done():
                # Removed first: a new caller must not join a computation that is being cancelled.
                del self._flights[key]
                flight.task.cancel()

    def _finished(self, key: str, task: asyncio.Task[_T]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            # Retrieves the exception, which asyncio reports otherwise if every caller was cancelled.
            task.exception()


async def _awaited(compute: Callable[[], Awaitable[_T]]) -> _T:
    return await compute()
