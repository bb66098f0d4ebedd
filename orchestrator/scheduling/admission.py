"""Admission: a bounded number of requests run, a bounded number wait in fair order, and the next one is refused."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType

from backdrop.contract.parts import Priority
from backdrop.errors import BackdropError, Reason, error
from orchestrator.scheduling.fair_queue import FairQueue
from orchestrator.scheduling.longest_queue import displaced_by
from orchestrator.scheduling.place import Place
from orchestrator.scheduling.request import ScheduledRequest

# Row-steps × megapixels a second, assumed until the first request has finished.
_FIRST_RATE = 5.0
# Weight of the latest request in the moving average of the rate: about five requests count.
_RATE_SMOOTHING = 0.2
# Shortest advice to a refused caller: less would only have it ask again at once.
_MIN_RETRY_AFTER_S = 0.1
# Short: another server can take the request at once.
_DRAINING_RETRY_AFTER_S = 0.5
# The requests that run get on, so the time to come back grows shorter.
_VERDICT_S = 0.25
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
    max_held_bytes: float = float("inf")
    """Encoded pictures that running and waiting requests may hold; one request alone may exceed it."""

    def running(self, priority: Priority) -> int:
        """Places that the class may hold together with the classes below it."""
        return math.ceil(self.max_running * _SHARES[priority])

    def share(self, request: ScheduledRequest) -> float:
        """The part of the queue that a request takes: of its places, its work or its bytes, whichever is largest.

        A tenant's parts add up to its dominant share (Ghodsi et al. 2011), or to somewhat more.
        """
        work, size = request.work / self.max_queued_work, request.size_bytes / self.max_held_bytes
        return max(1 / max(1, self.max_queued), work, size)


@dataclasses.dataclass(frozen=True, slots=True)
class _Full:
    """That there is no place, and when there may be one."""

    why: str
    retry_after_s: float

    def error(self) -> BackdropError:
        message = f"{self.why}; try again in {self.retry_after_s} s."
        return error(Reason.QUEUE_FULL, message, retry_after_s=self.retry_after_s)


class Admission:
    """A bounded queue in fair order before a bounded number of running requests."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: list[ScheduledRequest] = []
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._verdicts: dict[tuple[str, Priority], _Full | None] = {}
        self._judged_at = (0, 0, 0.0)
        self._departures = 0
        self._draining = False
        self._rate = _FIRST_RATE
        self._held_bytes = 0
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

    @property
    def oldest_wait_s(self) -> dict[str, float]:
        """Age in seconds of the oldest request in the queue, by class; 0 where none waits."""
        ages = {each.name.lower(): 0.0 for each in Priority}
        for waiter in reversed(list(self._queue)):  # from the latest arrival to the first
            ages[waiter.request.priority.name.lower()] = time.monotonic() - waiter.since
        return ages

    @property
    def held_bytes(self) -> int:
        """Encoded pictures of the requests that run and wait."""
        return self._held_bytes

    def check(self, priority: Priority, tenant: str) -> None:
        """Refuses at once what `join` would refuse whatever its cost: cheap enough to be done for every message.

        Raises:
            OverloadedError: the queue is full, and no place is free for the class.
            UnavailableError: the server is draining.
        """
        if self._draining:
            message = "this server is shutting down; send the request again."
            raise error(Reason.DRAINING, message, retry_after_s=_DRAINING_RETRY_AFTER_S)
        if self.waiting >= self._limits.max_queued and (full := self._verdict(tenant, priority)) is not None:
            raise full.error()

    def _verdict(self, tenant: str, priority: Priority) -> _Full | None:
        """Why a newcomer of no cost finds no place; looked up while the same requests run and wait, for 0.25 s at most.

        In a burst beyond the capacity hundreds of callers ask, and each answer takes a pass over the queue.
        """
        now = (self._queue.changes, self._departures, time.monotonic() // _VERDICT_S)
        if self._judged_at != now:
            self._verdicts.clear()
            self._judged_at = now
        key = (tenant, priority)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(tenant, priority)
        return self._verdicts[key]

    def _judge(self, tenant: str, priority: Priority) -> _Full | None:
        newcomer = ScheduledRequest(tenant, priority, 0.0)
        if self._is_open(priority) or displaced_by(newcomer, self._queue, self._limits.share) is not None:
            return None
        return self._full(self._counts(), self.queued_work)

    def join(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> Turn:
        """Puts a request into the queue at once, or refuses it. `on_place` is called with each new place.

        A full queue drops its longest part (Suter et al. 1998): the newest request of the tenant that holds most of the
        queue makes room for a tenant that holds less. `Turn.wait` raises what `join` would have raised for it.

        Raises:
            OverloadedError: the queue is full; `retry_after_s` says when a place is likely.
            UnavailableError: the server is draining.
        """
        self.check(request.priority, request.tenant)
        self._find_memory(request)
        waiter = _Waiter(request, on_place)
        self._queue.push(waiter)
        self._admit()
        if not waiter.turn.done():
            self._find_room(waiter)
            self._announce_places()
        self._held_bytes += request.size_bytes
        return Turn(self, waiter)

    @contextlib.asynccontextmanager
    async def slot(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> AsyncIterator[None]:
        """Joins, and waits until the request may run; raises what `join` raises."""
        with self.join(request, on_place) as turn:
            await turn.wait()
            yield

    def drain(self) -> None:
        """Refuses new requests; those that run or wait go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns once nothing runs and nothing waits."""
        await self._idle.wait()

    def leave(self, waiter: _Waiter, rate: float | None) -> None:
        """Frees the place of a request; `rate` is at how much work a second it was served, if it has run."""
        if not waiter.dropped:
            self._held_bytes -= waiter.request.size_bytes
        self._departures += 1
        if rate is not None:
            self._rate += _RATE_SMOOTHING * (rate - self._rate)
        if waiter.admitted:
            self._running.remove(waiter.request)
        else:
            self._queue.discard(waiter)
        self._admit()
        self._announce_places()
        if not self._running:
            self._idle.set()

    def _find_memory(self, request: ScheduledRequest) -> None:
        """Refuses a request whose pictures do not fit; one that is alone is taken, whatever its size."""
        limit = self._limits.max_held_bytes
        while self._held_bytes and self._held_bytes + request.size_bytes > limit:
            heavier = displaced_by(request, self._queue, self._limits.share)
            if heavier is None:
                held = f"{self._held_bytes / 2**20:.0f} MiB of pictures"
                raise self._full(f"{held} are held, of {limit / 2**20:.0f}", self.queued_work).error()
            self._drop(heavier)

    def _full(self, why: str, ahead: float) -> _Full:
        return _Full(why, round(max(_MIN_RETRY_AFTER_S, (self._running_work() + ahead) / self._rate), 1))

    def _counts(self) -> str:
        return f"{self.running} requests run and {self.waiting} wait"

    def _find_room(self, waiter: _Waiter) -> None:
        """Drops requests of tenants that hold more of the queue until it is not too full, or refuses this one."""
        while self._is_too_full():
            heavier = displaced_by(waiter.request, self._queue, self._limits.share)
            if heavier is None:
                self._queue.discard(waiter)
                raise self._full(self._counts(), self.queued_work).error()
            self._drop(heavier)

    def _is_too_full(self) -> bool:
        # A request that waits alone is taken whatever it costs.
        too_much = self.waiting > 1 and self.queued_work > self._limits.max_queued_work
        return self.waiting > self._limits.max_queued or too_much

    def _drop(self, waiter: _Waiter) -> None:
        """Refuses a request that waits."""
        self._queue.discard(waiter)
        self._held_bytes -= waiter.request.size_bytes
        waiter.drop(self._full("the queue is full, and this tenant holds most of it", self.queued_work).error())

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
        classes = self._open_classes()
        return lambda waiter: waiter.request.priority in classes

    def _open_classes(self) -> set[Priority]:
        """The classes that may hold another place."""
        return {each for each in Priority if self._is_open(each)}

    def _is_open(self, priority: Priority) -> bool:
        """Whether the class may hold another place."""
        if self.running >= self._limits.max_running:
            return False
        held = sum(request.priority >= priority for request in self._running)
        return held < self._limits.running(priority)

    def _announce_places(self) -> None:
        ahead = self._running_work()
        for position, waiter in enumerate(self._queue.projected(), start=1):
            waiter.announce(Place(position, ahead / self._rate))
            ahead += waiter.work


class Turn:
    """The place of one request: in the queue, or among those that run. Closing it frees the place."""

    def __init__(self, admission: Admission, waiter: _Waiter) -> None:
        self._admission, self._waiter = admission, waiter
        self._started: tuple[float, int] | None = None
        self._closed = False

    async def wait(self) -> None:
        """Returns once the request may run."""
        await self._waiter.turn
        self._waiter.on_place(Place(0, 0.0))
        self._started = time.monotonic(), self._admission.running

    def close(self) -> None:
        """Frees the place; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._admission.leave(self._waiter, self._rate())

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _rate(self) -> float | None:
        """Work a second of all running requests, if this one has run and done some."""
        done = self._waiter.work - self._waiter.request.work
        if self._started is None or done <= 0:
            return None
        started, running = self._started
        # The other running requests are assumed to have got as much as this one.
        return done * max(running, self._admission.running) / max(1e-3, time.monotonic() - started)


class _Waiter:
    def __init__(self, request: ScheduledRequest, on_place: Callable[[Place], None]) -> None:
        self.request = request
        self.work = request.work
        self.since = time.monotonic()
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_place = on_place
        self._position = 0
        self.dropped = False

    @property
    def admitted(self) -> bool:
        return self.turn.done() and not self.turn.cancelled() and not self.dropped

    def drop(self, refusal: BackdropError) -> None:
        """Raises the refusal in whoever waits."""
        self.dropped = True
        if not self.turn.done():
            self.turn.set_exception(refusal)
            self.turn.exception()  # it is raised again where the turn is awaited, if it is

    def announce(self, place: Place) -> None:
        """Calls `on_place` if the position is new; a new estimate of the start alone is not worth an event."""
        if place.position != self._position:
            self._position = place.position
            self.on_place(place)
