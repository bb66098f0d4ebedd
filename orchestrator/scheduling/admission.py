"""Admission: a bounded number of requests run, a bounded number wait in fair order, and the next one is refused."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Callable

from backdrop.contract.parts import Priority
from backdrop.errors import Reason, error
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.request import ScheduledRequest

# Row-steps × megapixels a second, assumed until the first request has finished.
_FIRST_RATE = 5.0
# Weight of the latest request in the moving average of the rate: about five requests count.
_RATE_SMOOTHING = 0.2
# Shortest advice to a refused caller: less would only have it ask again at once.
_MIN_RETRY_AFTER_S = 0.1
# Short: another server can take the request at once.
_DRAINING_RETRY_AFTER_S = 0.5
# Part of the places that a class may hold together with the classes below it.
_SHARES = {Priority.INTERACTIVE: 1.0, Priority.STANDARD: 0.75, Priority.BULK: 0.5}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of admission."""

    max_running: int
    """Requests that run at the same time. Bulk may hold half of the places, standard three quarters, rounded up."""
    max_queued: int
    """Requests that may wait."""
    max_queued_work: float = float("inf")
    """Row-steps × megapixels that may wait; a request that would wait alone is taken whatever it costs."""

    def running(self, priority: Priority) -> int:
        """Places that the class may hold together with the classes below it."""
        return math.ceil(self.max_running * _SHARES[priority])


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a request stands."""

    position: int
    """Place in the queue: 1 = the next to run, 0 = it runs now."""
    expected_start_s: float
    """Seconds until it runs: the work ahead of it divided by the recent rate."""


class Admission:
    """A bounded queue in fair order before a bounded number of running requests."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: list[ScheduledRequest] = []
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._draining = False
        self._rate = _FIRST_RATE
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
    async def slot(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> AsyncIterator[None]:
        """Waits until the request may run, calls `on_place` with each new place in the queue.

        Raises:
            OverloadedError: the queue is full; `retry_after_s` says when a place is likely.
            UnavailableError: the server is draining.
        """
        work = request.work
        await self._enter(request, on_place)
        started, running = time.monotonic(), self.running
        try:
            yield
        finally:
            done = work - request.work
            if done > 0:
                # The other running requests are assumed to have got as much as this one.
                rate = done * max(running, self.running) / max(1e-3, time.monotonic() - started)
                self._rate += _RATE_SMOOTHING * (rate - self._rate)
            self._leave(request)

    def drain(self) -> None:
        """Refuses new requests; those that run or wait go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns once nothing runs and nothing waits."""
        await self._idle.wait()

    async def _enter(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> None:
        if self._draining:
            message = "this server is shutting down; send the request again."
            raise error(Reason.DRAINING, message, retry_after_s=_DRAINING_RETRY_AFTER_S)
        waiter = _Waiter(request, on_place)
        self._queue.push(waiter)
        self._admit()
        if not waiter.turn.done():
            self._refuse_if_full(waiter)
            self._announce_places()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.admitted:
                self._leave(request)  # admitted and cancelled at the same moment: the next one gets the place
            else:
                self._queue.discard(waiter)
                self._admit()
                self._announce_places()
            raise
        on_place(Place(0, 0.0))

    def _refuse_if_full(self, waiter: _Waiter) -> None:
        others = len(self._queue) - 1
        ahead = self.queued_work - waiter.work
        if others < self._limits.max_queued and (not others or self.queued_work <= self._limits.max_queued_work):
            return
        self._queue.discard(waiter)
        retry_after_s = round(max(_MIN_RETRY_AFTER_S, (self._running_work() + ahead) / self._rate), 1)
        message = f"{self.running} requests run and {others} wait; try again in {retry_after_s} s."
        raise error(Reason.QUEUE_FULL, message, retry_after_s=retry_after_s)

    def _leave(self, request: ScheduledRequest) -> None:
        self._running.remove(request)
        self._admit()
        self._announce_places()
        if not self._running:
            self._idle.set()

    def _running_work(self) -> float:
        return sum(request.work for request in self._running)

    def _admit(self) -> None:
        while (waiter := self._queue.first(self._may_run())) is not None:
            if waiter.turn.done():  # cancelled, and its coroutine has not run since
                self._queue.discard(waiter)
                continue
            self._queue.serve(waiter, waiter.work)
            self._running.append(waiter.request)
            self._idle.clear()
            waiter.turn.set_result(None)

    def _may_run(self) -> Callable[[_Waiter], bool]:
        """Tells the waiters whose class may hold another place."""
        if self.running >= self._limits.max_running:
            return lambda waiter: False
        held = {each: sum(request.priority >= each for request in self._running) for each in Priority}
        classes = {each for each in Priority if held[each] < self._limits.running(each)}
        return lambda waiter: waiter.request.priority in classes

    def _announce_places(self) -> None:
        ahead = self._running_work()
        for position, waiter in enumerate(self._queue.projected(), start=1):
            waiter.announce(Place(position, ahead / self._rate))
            ahead += waiter.work


class _Waiter:
    def __init__(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> None:
        self.request = request
        self.work = request.work
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_place = on_place
        self._position = 0

    @property
    def admitted(self) -> bool:
        return self.turn.done() and not self.turn.cancelled()

    def announce(self, place: Place) -> None:
        """Calls `on_place` if the position is new; a new estimate of the start alone is not worth an event."""
        if place.position != self._position:
            self._position = place.position
            self._on_place(place)
