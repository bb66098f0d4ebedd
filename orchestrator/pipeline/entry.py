"""A request that has a place: its events while it waits and runs, and the end of its work when nobody reads them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType

from orchestrator.events import Event
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.progress import Progress
from orchestrator.request import Request
from orchestrator.scheduling import ScheduledRequest
from orchestrator.scheduling.admission import Turn


@dataclasses.dataclass(eq=False)
class Entry:
    """One request between its admission and its end; leaving it as a context manager frees its place."""

    request: Request
    queued: ScheduledRequest
    turn: Turn
    progress: Progress
    outlook: Outlook
    serve: Callable[[Entry], Coroutine[None, None, None]]
    """Waits for the turn, and runs the stages."""

    def __enter__(self) -> Entry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.turn.close()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Yields the request's events; the last one is `Finished`.

        Closing the generator stops the work before its next step.

        Raises:
            BackdropError: the request failed; the class of the error says how.
        """
        work = asyncio.create_task(self.serve(self), name=f"request-{self.request.request_id}")
        work.add_done_callback(lambda _: self.progress.close())
        try:
            while (event := await self.progress.next()) is not None:
                yield event
            await work  # raises the error of the work
        finally:
            work.cancel()
            await asyncio.wait([work])
