"""Turns: every model call of a job waits for one, so that the queue is here and in fair order, and not at Triton."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.order import Applicant, Priority


class Turns:
    """Bounds the rows that are out at a time, and says whose go out next.

    Args:
        limit: how many rows may be out now; read at each turn, since replicas come and go. A call of more rows than
            that goes out alone.
        observe: hears of each turn: its class, and how many seconds it was waited for.
    """

    def __init__(
        self, limit: Callable[[], int], observe: Callable[[Priority, float], None] = lambda priority, seconds: None
    ) -> None:
        self.out = 0
        """Rows that are out now."""
        self._limit = limit
        self._observe = observe
        self._queue: FairQueue[_Waiter] = FairQueue()

    @property
    def waiting(self) -> int:
        """Rows that wait for their turn."""
        return sum(waiter.rows for waiter in self._queue)

    def ticket(self, applicant: Applicant, megapixels: float) -> Ticket:
        """What a job shows for each of its calls."""
        return Ticket(self, applicant, megapixels)

    @contextlib.asynccontextmanager
    async def turn(self, applicant: Applicant, rows: int, cost: float) -> AsyncIterator[None]:
        """Waits until it is the applicant's turn; its rows are out until the block ends."""
        waiter = _Waiter(applicant, rows, cost)
        self._queue.push(waiter)
        began = time.monotonic()
        self._give()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.given:
                self._take_back(rows)  # given in the same breath: it goes to the next
            else:
                self._queue.discard(waiter)
                self._give()  # a large call may have stood before small ones
            raise
        self._observe(applicant.priority, time.monotonic() - began)
        try:
            yield
        finally:
            self._take_back(rows)

    def _take_back(self, rows: int) -> None:
        self.out -= rows
        self._give()

    def _give(self) -> None:
        limit = max(1, self._limit())
        while (waiter := self._queue.first()) is not None:
            if waiter.turn.done():  # cancelled, and its coroutine has not run since
                self._queue.discard(waiter)
                continue
            # Nobody overtakes a call that does not fit yet, or it would wait for ever behind smaller ones.
            if self.out and self.out + waiter.rows > limit:
                return
            self._queue.serve(waiter, waiter.cost)
            waiter.applicant.work = max(0.0, waiter.applicant.work - waiter.cost)
            self.out += waiter.rows
            waiter.turn.set_result(None)


class Ticket:
    """One job's right to turns."""

    def __init__(self, turns: Turns, applicant: Applicant, megapixels: float) -> None:
        self._turns = turns
        self.applicant = applicant
        self._megapixels = megapixels

    def turn(self, rows: int) -> contextlib.AbstractAsyncContextManager[None]:
        """A turn for a call of so many rows."""
        return self._turns.turn(self.applicant, rows, rows * self._megapixels)


class _Waiter:
    def __init__(self, applicant: Applicant, rows: int, cost: float) -> None:
        self.applicant, self.rows, self.cost = applicant, rows, cost
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def given(self) -> bool:
        return self.turn.done() and not self.turn.cancelled()
