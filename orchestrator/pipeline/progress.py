"""A request's events on their way to the stream, in a bounded buffer, and the wall time of its stages."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator

from backdrop.errors import BackdropError, Reason, error
from orchestrator.events import Event, Stage, StageStarted
from orchestrator.telemetry import span

# A picture of 48 MB takes so long at 6 Mbit/s.
_LONGEST_READ_S = 60.0


class Progress:
    """What the stages of a request report to; the stream reads `next`."""

    def __init__(self, max_buffered: int) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._max_buffered = max_buffered
        self._drained = asyncio.Event()
        self._drained.set()
        self._started: dict[Stage, float] = {}
        self._ended: dict[Stage, float] = {}

    def emit(self, event: Event) -> None:
        """Hands an event to the stream without waiting for it.

        Raises:
            OverloadedError: too many events wait, because the caller reads too slowly.
        """
        if self._events.qsize() >= self._max_buffered:
            raise _slow_reader()
        self._drained.clear()
        self._events.put_nowait(event)

    def close(self) -> None:
        """Ends the events. Never raises, however full the buffer is."""
        self._events.put_nowait(None)

    async def next(self) -> Event | None:
        """The next event, or None after the last."""
        if self._events.empty():
            self._drained.set()
        return await self._events.get()

    async def drained(self, at_most_s: float) -> bool:
        """Waits until the stream has sent every event and waits for the next one; False if it has not by then."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True

    async def until_read(self) -> None:
        """Waits until the stream has sent every event.

        Raises:
            OverloadedError: it takes a minute.
        """
        if not await self.drained(_LONGEST_READ_S):
            raise _slow_reader()

    @contextlib.contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measures a stage; the first variant that enters it announces it."""
        if stage not in self._started:
            self._started[stage] = time.monotonic()
            self.emit(StageStarted(stage))
        try:
            with span(stage.name.lower()):
                yield
        finally:
            self._ended[stage] = time.monotonic()

    def seconds(self, stage: Stage) -> float:
        """Seconds since a stage was entered; 0 before that, infinite after it ended."""
        if stage in self._ended:
            return math.inf
        return time.monotonic() - self._started[stage] if stage in self._started else 0.0

    def timings(self) -> dict[Stage, float]:
        """Wall seconds by stage: first start to last end."""
        return {stage: self._ended[stage] - start for stage, start in sorted(self._started.items())}


def _slow_reader() -> BackdropError:
    message = "the stream is read too slowly; read events as they come, or ask for fewer previews."
    return error(Reason.SLOW_READER, message)
