"""A pipeline over plain functions, and the events of one request."""

import asyncio
import dataclasses
from pathlib import Path

from backdrop.contract.receipts import Receipt
from orchestrator.events import (
    Event,
    Finished,
    Picture,
    Scores,
)
from orchestrator.pipeline import Pipeline
from orchestrator.request import Request
from orchestrator.scheduling import Batcher
from orchestrator.scheduling.admission import Admission, Limits
from orchestrator.stages.frames import PixelMemory
from tests.orchestrator.small import (
    DictCache,
    FunctionModels,
    KnownCost,
    capacity,
    tokenizers,
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One request's events, and what the last of them are."""

    events: list[Event]

    @property
    def pictures(self) -> list[Picture]:
        return [event for event in self.events if isinstance(event, Picture)]

    @property
    def scores(self) -> list[Scores]:
        """Those of the pictures that have some."""
        return [picture.scores for picture in self.pictures if picture.scores is not None]

    @property
    def best(self) -> Picture:
        return self.pictures[0]

    @property
    def receipt(self) -> Receipt:
        """The best picture's."""
        assert self.best.receipt is not None
        return self.best.receipt

    @property
    def finished(self) -> Finished:
        last = self.events[-1]
        assert isinstance(last, Finished)
        return last

    @property
    def data(self) -> list[bytes]:
        return [picture.data for picture in self.pictures]


class Bench:
    """A pipeline and what is around it."""

    def __init__(
        self,
        folder: Path,
        max_buffered_events: int = 1000,
        *,
        models: FunctionModels | None = None,
        max_rows: int = 4,
        running: int = 2,
    ) -> None:
        self.models, self.cache, self.admission = models or FunctionModels(), DictCache(), Admission(Limits(running, 2))
        self.batcher = Batcher(self.models, lambda model: capacity(1, max_rows), new_cost=KnownCost)
        self.pipeline = Pipeline(
            *(self.batcher, self.cache, tokenizers(folder)[1], self.admission),
            PixelMemory(16.0),
            max_buffered_events=max_buffered_events,
        )

    async def run(self, request_: Request, deadline: float | None = None) -> Run:
        return Run([event async for event in self.pipeline.run(request_, deadline=deadline)])

    def hold(self, model: str, rows: int) -> None:
        """Keeps the model's batches until so many rows are at it or wait for it; then the rest share batches."""
        came = asyncio.Event()

        async def before(called: str) -> None:
            if called == model:
                while not came.is_set():
                    if self.batcher.running_rows[model] + self.batcher.waiting_rows[model] >= rows:
                        came.set()
                    await asyncio.sleep(0.001)

        self.models.before = before
