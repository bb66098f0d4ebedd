"""Admission: so many requests run, so many wait in fair order and know their place, the next one is refused."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Callable

from backdrop.errors import Reason, error
from orchestrator.scheduling import Applicant, FairQueue, Priority

# Before the first request has finished nobody knows how fast work is done: row-steps × megapixels a second.
_FIRST_GUESS = 5.0
_SHARES = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 0.75, Priority.BULK: 0.5}


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much is taken on."""

    max_running: int
    """Requests that run side by side. Bulk may hold half of the places, standard three quarters, rounded up."""
    max_queued: int
    """Requests that may wait."""
    max_queued_work: float = float("inf")
    """Row-steps × megapixels that may wait; a single request is taken whatever it costs."""

    def running(self, priority: Priority) -> int:
        """Places that the class may hold, together with the classes below it."""
        return math.ceil(self.max_running * _SHARES[priority])


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a request stands."""

    position: int
    """Place in the queue: 1 = the next to run, 0 = it runs now."""
    expected_start_s: float
    """Seconds until it runs, by the work ahead and the pace of late."""


class Admission:
    """A bounded queue in fair order before a bounded number of running requests."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: list[Applicant] = []
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._draining = False
        self._pace = _FIRST_GUESS
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """Requests that run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def queued_work(self) -> float:
        """Row-steps × megapixels in the queue."""
        return sum(waiter.work for waiter in self._queue)

    @contextlib.asynccontextmanager
    async def slot(self, applicant: Applicant, on_place: Callable[[Place], None]) -> AsyncIterator[None]:
        """Waits for a place among the running, calls `on_place` with each new place in the queue.

        Raises:
            OverloadedError: the queue is full; `retry_after_s` says when a place is likely.
            UnavailableError: the server is draining.
        """
        work = applicant.work
        await self._enter(applicant, on_place)
        started, company = time.monotonic(), self.running
        try:
            yield
        finally:
            done = work - applicant.work
            if done > 0:
                # What it got was its part: those that ran beside it got as much.
                found = done * max(company, self.running) / max(1e-3, time.monotonic() - started)
                self._pace += 0.2 * (found - self._pace)
            self._leave(applicant)

    def drain(self) -> None:
        """Refuses new requests; those that run or wait go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns once nothing runs and nothing waits."""
        await self._idle.wait()

    async def _enter(self, applicant: Applicant, on_place: Callable[[Place], None]) -> None:
        if self._draining:
            raise error(Reason.DRAINING, "this server is shutting down; send the request again.", retry_after_s=0.5)
        waiter = _Waiter(applicant, on_place)
        self._queue.push(waiter)
        self._let_in()
        if not waiter.turn.done():
            self._refuse_if_full(waiter)
            self._tell_places()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.given:
                self._leave(applicant)  # given in the same breath: it goes to the next
            else:
                self._queue.discard(waiter)
                self._let_in()
                self._tell_places()
            raise
        on_place(Place(0, 0.0))

    def _refuse_if_full(self, waiter: _Waiter) -> None:
        others = len(self._queue) - 1
        ahead = self.queued_work - waiter.work
        if others < self._limits.max_queued and (not others or self.queued_work <= self._limits.max_queued_work):
            return
        self._queue.discard(waiter)
        retry_after_s = round(max(0.1, (self._work_left() + ahead) / self._pace), 1)
        message = f"{self.running} requests run and {others} wait; try again in {retry_after_s} s."
        raise error(Reason.QUEUE_FULL, message, retry_after_s=retry_after_s)

    def _leave(self, applicant: Applicant) -> None:
        self._running.remove(applicant)
        self._let_in()
        self._tell_places()
        if not self._running:
            self._idle.set()

    def _work_left(self) -> float:
        return sum(applicant.work for applicant in self._running)

    def _let_in(self) -> None:
        while (waiter := self._queue.first(self._may_run())) is not None:
            if waiter.turn.done():  # cancelled, and its coroutine has not run since
                self._queue.discard(waiter)
                continue
            self._queue.serve(waiter, waiter.work)
            self._running.append(waiter.applicant)
            self._idle.clear()
            waiter.turn.set_result(None)

    def _may_run(self) -> Callable[[_Waiter], bool]:
        """Who is of a class that may have another place."""
        if self.running >= self._limits.max_running:
            return lambda waiter: False
        held = {each: sum(applicant.priority >= each for applicant in self._running) for each in Priority}
        classes = {each for each in Priority if held[each] < self._limits.running(each)}
        return lambda waiter: waiter.applicant.priority in classes

    def _tell_places(self) -> None:
        ahead = self._work_left()
        for position, waiter in enumerate(self._queue.in_order(), start=1):
            waiter.tell(Place(position, ahead / self._pace))
            ahead += waiter.work


class _Waiter:
    def __init__(self, applicant: Applicant, on_place: Callable[[Place], None]) -> None:
        self.applicant = applicant
        self.work = applicant.work
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_place = on_place
        self._position = 0

    @property
    def given(self) -> bool:
        return self.turn.done() and not self.turn.cancelled()

    def tell(self, place: Place) -> None:
        """A new position is told; a new guess at the same one is not worth an event."""
        if place.position != self._position:
            self._position = place.position
            self._on_place(place)
