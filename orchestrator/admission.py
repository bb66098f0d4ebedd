"""Admission: so many requests run, so many wait in order and know their place, the next one is refused."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from backdrop.errors import Reason, error

# Before the first request has finished nobody knows how long one takes.
_FIRST_GUESS_S = 5.0


class Admission:
    """A bounded first-in, first-out queue in front of a bounded number of running requests."""

    def __init__(self, max_running: int, max_queued: int) -> None:
        self.running = 0
        self._max_running = max_running
        self._max_queued = max_queued
        self._waiting: collections.deque[_Waiter] = collections.deque()
        self._draining = False
        self._typical_s = _FIRST_GUESS_S
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def slot(self, on_position: Callable[[int], None]) -> AsyncIterator[None]:
        """Waits for a place among the running, calls `on_position` with each new queue position (0 = it runs).

        Raises:
            OverloadedError: the queue is full; `retry_after_s` says when a place is likely.
            UnavailableError: the server is draining.
        """
        await self._enter(on_position)
        started = time.monotonic()
        try:
            yield
        finally:
            self._typical_s += 0.2 * (time.monotonic() - started - self._typical_s)
            self._leave()

    def drain(self) -> None:
        """Refuses new requests; those that run or wait go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns once nothing runs and nothing waits."""
        await self._idle.wait()

    async def _enter(self, on_position: Callable[[int], None]) -> None:
        if self._draining:
            raise error(Reason.DRAINING, "this server is shutting down; send the request again.", retry_after_s=0.5)
        if self.running < self._max_running and not self._waiting:
            self.running += 1
            self._idle.clear()
            on_position(0)
            return
        if len(self._waiting) >= self._max_queued:
            retry_after_s = round(self._typical_s * (len(self._waiting) + 1) / self._max_running, 1)
            message = f"{self.running} requests run and {len(self._waiting)} wait; try again in {retry_after_s} s."
            raise error(Reason.QUEUE_FULL, message, retry_after_s=retry_after_s)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), on_position)
        self._waiting.append(waiter)
        on_position(len(self._waiting))
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                self._leave()  # the place was given in the same breath: pass it on
            else:
                self._waiting.remove(waiter)
                self._tell_positions()
            raise
        on_position(0)

    def _leave(self) -> None:
        self.running -= 1
        while self._waiting and self.running < self._max_running:
            self._waiting.popleft().turn.set_result(None)
            self.running += 1
        self._tell_positions()
        if self.running == 0:
            self._idle.set()

    def _tell_positions(self) -> None:
        for position, waiter in enumerate(self._waiting, start=1):
            waiter.on_position(position)


class _Waiter:
    def __init__(self, turn: asyncio.Future[None], on_position: Callable[[int], None]) -> None:
        self.turn = turn
        self.on_position = on_position
