"""Pipeline: calls the stages in order, and owns a request's admission, deadline and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import math
from collections.abc import AsyncGenerator, Sequence

from backdrop.contract.parts import Conditioning, Priority
from backdrop.contract.request_warnings import RequestWarning
from backdrop.errors import Reason, error
from orchestrator.cache.lookups import ArrayCache, RequestLookups
from orchestrator.concurrency import gather
from orchestrator.events import Accepted, Event, Finished, Stage, VariantFinished
from orchestrator.identity.caller import ANONYMOUS
from orchestrator.pipeline.entry import Entry
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.pace import Pace
from orchestrator.pipeline.progress import Progress
from orchestrator.pipeline.variants import Judge, VariantRun
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.request import Request
from orchestrator.scheduling import Batcher, ScheduledRequest
from orchestrator.scheduling.admission import Admission
from orchestrator.scheduling.place import Place
from orchestrator.stages.denoise import GuidedDenoiser
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.stages.encode import encode
from orchestrator.stages.frames import FrameSource, PixelMemory
from orchestrator.stages.models import Models
from orchestrator.stages.palette import PaletteGuide
from orchestrator.stages.prepare import find_mask, prepare
from orchestrator.stages.select import Variant, select

# How long a finished picture may hold its part of the pixel memory until the caller has it.
_HANDOVER_S = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class _Work:
    """A request on its way through the stages."""

    request: Request
    layout: int
    source: FrameSource
    models: Models
    lookups: RequestLookups
    progress: Progress
    outlook: Outlook


class Pipeline:
    """Runs requests over the models behind a batcher.

    Args:
        batcher: calls the models.
        cache: of what encoders compute.
        tokenizers: of the prompts.
        admission: bounds how many requests run and wait.
        memory: for pictures at full size.
        max_buffered_events: events kept for a slow reader; one more ends its request.
    """

    def __init__(
        self,
        batcher: Batcher,
        cache: ArrayCache,
        tokenizers: PromptTokenizers,
        admission: Admission,
        memory: PixelMemory,
        *,
        max_buffered_events: int,
    ) -> None:
        self._batcher = batcher
        self._cache = cache
        self._tokenizers = tokenizers
        self._admission = admission
        self._memory = memory
        self._max_buffered_events = max_buffered_events
        self._pace = Pace()

    def check(self, priority: Priority, tenant: str) -> None:
        """Raises what `enter` would raise for any request of the class and tenant, at the least cost."""
        self._admission.check(priority, tenant)

    def enter(self, request: Request, tenant: str = ANONYMOUS, deadline: float | None = None) -> Entry:
        """Gives the request a place, in the queue or among those that run, or refuses it at once.

        `deadline` is in time.monotonic seconds. Closing the entry frees the place.

        Raises:
            BackdropError: the deadline cannot be met, the queue is full, or the server is draining.
        """
        due = math.inf if deadline is None else deadline
        progress = Progress(self._max_buffered_events)
        kind = (request.parts.sampling.pipeline, request.task.rules.sampled, request.tiling.megapixels)
        outlook = Outlook(self._pace, kind, request.sequential_steps, progress)
        outlook.check(due)
        queued = ScheduledRequest(
            tenant,
            request.parts.priority,
            request.work,
            due,
            outlook.need_s,
            request.sent.size_bytes if request.sent else 0,
        )
        turn = self._admission.join(queued, lambda place: progress.emit(_accepted(place)))
        return Entry(request, queued, turn, progress, outlook, self._serve)

    async def run(
        self, request: Request, tenant: str = ANONYMOUS, deadline: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Enters the request and yields its events; raises what `enter` and `Entry.events` raise."""
        with self.enter(request, tenant, deadline) as entry:
            async with contextlib.aclosing(entry.events()) as events:
                async for event in events:
                    yield event

    async def _serve(self, entry: Entry) -> None:
        """Waits for the turn of an entry, and runs its stages."""
        queued, outlook = entry.queued, entry.outlook
        try:
            async with asyncio.timeout(None if queued.due == math.inf else queued.remaining_s):
                await entry.turn.wait()
                outlook.check(queued.due)
                ticket = self._batcher.ticket(queued, entry.request.tiling.tile.megapixels)
                models = Models(entry.request.pipeline, ticket.infer, entry.request.request_id)
                try:
                    await self._stages(entry.request, models, entry.progress, outlook)
                finally:
                    ticket.close()
        except TimeoutError:
            raise error(Reason.DEADLINE_EXCEEDED, "the deadline passed before the pictures were ready.") from None
        finally:
            entry.turn.close()

    async def _stages(self, request: Request, models: Models, progress: Progress, outlook: Outlook) -> None:
        """Conditioning → embeddings, pictures → frame; from both: latents → scenes → ranked pictures."""
        lookups = RequestLookups(self._cache)
        works, notes, count = list[_Work](), tuple[RequestWarning, ...](), 0
        with contextlib.ExitStack() as stack:
            for index, layout in enumerate(request.layouts):
                read = functools.partial(request.read_layout, layout)
                colours = request.pipeline.conventions.hole_colours
                source = FrameSource(request.task, read, request.pixels_mp, self._memory, colours)
                stack.enter_context(contextlib.closing(source))
                works.append(_Work(request, index, source, models, lookups, progress, outlook))
            if request.task.rules.sampled:
                conditioning = await self._conditioning(request)
                variants = await gather(*(self._sampled(work, conditioning) for work in works))
                notes = conditioning.warnings
            else:
                variants = [await self._computed(work) for work in works]
            for work, of_layout in zip(works, variants, strict=True):
                count += await _delivered(work, of_layout)
        outlook.finished()
        warnings = (*request.warnings, *works[0].source.warnings, *notes)
        progress.emit(Finished(count, progress.timings(), lookups.report(), warnings))

    async def _sampled(self, work: _Work, conditioning: Conditioning) -> list[Variant]:
        """The variants that models make."""
        parts, models, progress = work.request.parts, work.models, work.progress
        with progress.stage(Stage.ENCODE):
            embeddings = await encode(
                conditioning,
                guided=parts.sampling.guided,
                models=models,
                tokenizers=self._tokenizers,
                lookups=work.lookups,
            )
        with progress.stage(Stage.PREPARE):
            prepared = await prepare(work.source, parts.sampling, models, work.lookups)
        inputs = DenoiserInputs(embeddings, prepared, models, work.request.adapters)
        palette = conditioning.palette
        guide = PaletteGuide(palette, models.pipeline, prepared.view) if palette else None
        run = VariantRun(
            parts.sampling,
            parts.selection,
            GuidedDenoiser(parts.sampling, models, inputs),
            Judge(models, prepared.view, embeddings.positive.pooled, work.request.task.heads, progress, guide),
            work.outlook,
            parts.delivery.preview_every,
            prepared,
            work.layout,
        )
        return await run.variants()

    async def _computed(self, work: _Work) -> list[Variant]:
        """The one variant of a task without a denoiser: its scene is the frame's."""
        with work.progress.stage(Stage.PREPARE):
            await find_mask(work.source, work.models, work.lookups)
            async with work.source.open():  # the picture is decoded, so that its faults are found here
                pass
        seed = work.request.parts.sampling.seed
        work.progress.emit(VariantFinished(0, seed, None))
        return [Variant(0, seed, None, None)]

    async def _conditioning(self, request: Request) -> Conditioning:
        """The conditioning with its style pictures decoded."""
        if not request.style_pictures:
            return request.parts.conditioning
        async with self._memory.budget.hold(request.pixels_mp):
            return await asyncio.to_thread(request.read_conditioning)


async def _delivered(work: _Work, variants: Sequence[Variant]) -> int:
    """Emits the best pictures one by one, and returns their number."""
    count, parts, progress = 0, work.request.parts, work.progress
    with progress.stage(Stage.SELECT):
        pictures = select(
            variants, parts.selection.top_k, work.source, work.models, parts.delivery.format, progress.until_read
        )
        async with contextlib.aclosing(pictures):
            async for picture in pictures:
                progress.emit(dataclasses.replace(picture, layout=work.layout))
                await progress.drained(_HANDOVER_S)
                count += 1
    return count


def _accepted(place: Place) -> Accepted:
    return Accepted(place.position, place.expected_start_s)
