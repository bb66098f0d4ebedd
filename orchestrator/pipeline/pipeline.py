"""Pipeline: calls the stages in order, and owns a request's admission, deadline and cancellation."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator

from backdrop.errors import Reason, error
from orchestrator.cache.lookups import ArrayCache, RequestLookups
from orchestrator.events import Accepted, Event, Finished, Stage
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.pace import Pace
from orchestrator.pipeline.progress import Progress
from orchestrator.pipeline.variants import Judge, VariantRun
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import ANONYMOUS, Request
from orchestrator.scheduling import Batcher, ScheduledRequest
from orchestrator.scheduling.admission import Admission, Place
from orchestrator.stages.denoise import GuidedDenoiser
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.stages.encode import encode
from orchestrator.stages.models import Models
from orchestrator.stages.prepare import prepare
from orchestrator.stages.select import select

_ROWS_AFTER_DENOISING = 2
"""Rows of each variant after denoising: one for the decoder, one for the reward model."""


class Pipeline:
    """Runs requests over the models behind a batcher."""

    def __init__(
        self,
        batcher: Batcher,
        cache: ArrayCache,
        tokenizers: PromptTokenizers,
        admission: Admission,
        *,
        max_buffered_events: int,
    ) -> None:
        self._batcher = batcher
        self._cache = cache
        self._tokenizers = tokenizers
        self._admission = admission
        self._max_buffered_events = max_buffered_events
        self._pace = Pace()

    async def run(
        self, request: Request, tenant: str = ANONYMOUS, deadline: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yields the request's events; the last one is `Finished`.

        Closing the generator stops the work before its next step. `deadline` is in time.monotonic seconds.

        Raises:
            BackdropError: the request failed; the class of the error says how.
        """
        due = math.inf if deadline is None else deadline
        progress = Progress(self._max_buffered_events)
        kind = (request.parts.sampling.pipeline, request.scene_size.megapixels)
        outlook = Outlook(self._pace, kind, request.sequential_steps, progress)
        outlook.check(due)
        work = asyncio.create_task(
            self._admitted(request, tenant, due, progress, outlook), name=f"request-{request.request_id}"
        )
        work.add_done_callback(lambda _: progress.close())
        try:
            while (event := await progress.next()) is not None:
                yield event
            await work  # raises the error of the work
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _admitted(self, request: Request, tenant: str, due: float, progress: Progress, outlook: Outlook) -> None:
        megapixels = request.scene_size.megapixels
        rows = request.usage.row_steps + _ROWS_AFTER_DENOISING * request.parts.selection.variants
        queued = ScheduledRequest(tenant, request.parts.priority, rows * megapixels, due, outlook.need_s)
        try:
            async with asyncio.timeout(None if due == math.inf else due - time.monotonic()):
                async with self._admission.slot(queued, lambda place: progress.emit(_accepted(place))):
                    outlook.check(due)
                    ticket = self._batcher.ticket(queued, megapixels)
                    models = Models(request.pipeline, ticket.infer, request.request_id)
                    try:
                        await self._stages(request, models, progress, outlook)
                    finally:
                        ticket.close()
        except TimeoutError:
            raise error(Reason.DEADLINE_EXCEEDED, "the deadline passed before the pictures were ready.") from None

    async def _stages(self, request: Request, models: Models, progress: Progress, outlook: Outlook) -> None:
        """Conditioning → embeddings, pictures → frame; from both: latents → scenes → ranked pictures."""
        parts, lookups = request.parts, RequestLookups(self._cache)
        with progress.stage(Stage.ENCODE):
            embeddings = await encode(
                parts.conditioning,
                guided=parts.sampling.guided,
                models=models,
                tokenizers=self._tokenizers,
                lookups=lookups,
            )
        with progress.stage(Stage.PREPARE):
            prepared = await prepare(request.task, request.input, parts.sampling.strength, models, lookups)
        inputs = DenoiserInputs(embeddings, prepared, models, _adapter(request))
        run = VariantRun(
            parts.sampling,
            parts.selection,
            GuidedDenoiser(parts.sampling, models, inputs),
            Judge(models, prepared.view, embeddings.positive.pooled, request.task.heads, progress),
            outlook,
            parts.delivery.preview_every,
            prepared.start_latents,
        )
        variants = await run.variants()
        count = 0
        with progress.stage(Stage.SELECT):
            async for picture in select(variants, parts.selection.top_k, prepared.frame, parts.delivery.format):
                progress.emit(picture)
                count += 1
        outlook.finished()
        progress.emit(Finished(count, progress.timings(), lookups.report()))


def _adapter(request: Request) -> int:
    """The row of the task's adapter in the denoiser's bank; 0 = none. A row of a model call names one adapter."""
    bank = request.pipeline.models["denoiser"].adapters
    return next((bank[name] for name in request.task.adapters), 0)


def _accepted(place: Place) -> Accepted:
    return Accepted(place.position, place.expected_start_s)
