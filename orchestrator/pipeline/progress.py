"""A request's events on their way to the stream, in a bounded buffer, and the wall time of its stages."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator

from backdrop.errors import Reason, error
from orchestrator.events import Event, Stage, StageStarted
from orchestrator.telemetry import span


class Progress:
    """What the stages of a request report to; the stream reads `next`."""

    def __init__(self, max_buffered: int) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._max_buffered = max_buffered
        self._started: dict[Stage, float] = {}
        self._ended: dict[Stage, float] = {}

    def emit(self, event: Event) -> None:
        """Hands an event to the stream without waiting for it.

        Raises:
            OverloadedError: too many events wait, because the caller reads too slowly.
        """
        if self._events.qsize() >= self._max_buffered:
            message = "the stream is read too slowly; read events as they come, or ask for fewer previews."
            raise error(Reason.SLOW_READER, message)
        self._events.put_nowait(event)

    def close(self) -> None:
        """Ends the events. Never raises, however full the buffer is."""
        self._events.put_nowait(None)

    async def next(self) -> Event | None:
        """The next event, or None after the last."""
        return await self._events.get()

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
