"""Pipeline: orders a job's stages, and owns its admission, its deadline and its cancellation."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from backdrop.errors import Reason, error
from orchestrator.api.callers import NOBODY, Caller
from orchestrator.cache.lookups import ArrayCache, RequestLookups
from orchestrator.concurrency import gather
from orchestrator.domain import (
    Accepted,
    Event,
    Finished,
    Floats,
    Job,
    Size,
    Stage,
    StepDone,
    VariantDone,
    VariantDropped,
)
from orchestrator.imaging.output import preview
from orchestrator.imaging.placement import choose_scene
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.progress import Progress
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.sampler import NoiseStream, Solver, State, make_solver, variant_seed
from orchestrator.scheduling import Batcher, ScheduledRequest
from orchestrator.scheduling.admission import Admission, Place
from orchestrator.scheduling.pace import Pace
from orchestrator.stages.decode import decode
from orchestrator.stages.denoise import GuidedDenoiser, denoise
from orchestrator.stages.encode import encode
from orchestrator.stages.models import Conditioning, Models
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.stages.score import score
from orchestrator.stages.select import Variant, rank, select

# Of each variant: one row for the decoder, one for the reward model.
_ROWS_AFTER_DENOISING = 2


class Pipeline:
    """Runs jobs over the models behind a batcher."""

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
        self, job: Job, caller: Caller = NOBODY, deadline: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """Yields the job's events; the last one is `Finished`.

        Closing the generator stops the work before its next step. `deadline` is in time.monotonic seconds.

        Raises:
            BackdropError: of whatever class the failure has.
        """
        due = math.inf if deadline is None else deadline
        progress = Progress(self._max_buffered_events)
        outlook = Outlook(self._pace, (job.pipeline.name, _megapixels(job)), job, progress)
        outlook.check(due)
        work = asyncio.create_task(self._admitted(job, caller, due, progress, outlook), name=f"job-{job.request_id}")
        work.add_done_callback(lambda _: progress.close())
        try:
            while (event := await progress.next()) is not None:
                yield event
            await work  # raises what went wrong
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _admitted(self, job: Job, caller: Caller, due: float, progress: Progress, outlook: Outlook) -> None:
        megapixels = _megapixels(job)
        work = (job.row_steps + _ROWS_AFTER_DENOISING * job.variants) * megapixels
        request = ScheduledRequest(caller.tenant, job.priority, work, due, outlook.need_s)
        try:
            async with asyncio.timeout(None if due == math.inf else due - time.monotonic()):
                async with self._admission.slot(request, lambda place: progress.emit(_accepted(place))):
                    outlook.check(due)
                    ticket = self._batcher.ticket(request, megapixels)
                    try:
                        await self._stages(job, Models(job.pipeline, ticket.infer, job.request_id), progress, outlook)
                    finally:
                        ticket.close()
        except TimeoutError:
            raise error(Reason.DEADLINE_EXCEEDED, "the deadline passed before the pictures were ready.") from None

    async def _stages(self, job: Job, models: Models, progress: Progress, outlook: Outlook) -> None:
        lookups = RequestLookups(self._cache)
        with progress.stage(Stage.ENCODE):
            conditioning = await encode(job, models, self._tokenizers, lookups)
        with progress.stage(Stage.PREPARE):
            prepared = await prepare(job, models, lookups)
        run = _VariantRun(job, models, conditioning, prepared, progress, outlook)
        variants = await run.variants()
        with progress.stage(Stage.SELECT):
            pictures = await select(variants, prepared, job)
        outlook.finished()
        progress.emit(
            Finished(job, pictures, prepared.canvas.size, prepared.scene.bucket, progress.timings(), lookups.report())
        )


def _accepted(place: Place) -> Accepted:
    return Accepted(place.position, place.expected_start_s)


def _megapixels(job: Job) -> float:
    """Of the scene that the job will be made in; what it costs is known before anything is prepared."""
    size = job.output_size or Size(job.photo.shape[1], job.photo.shape[0])
    return choose_scene(size, job.pipeline.buckets).bucket.pixels / 1e6


class _VariantRun:
    """What the variants of one job share on their way from noise to score."""

    def __init__(
        self,
        job: Job,
        models: Models,
        conditioning: Conditioning,
        prepared: Prepared,
        progress: Progress,
        outlook: Outlook,
    ) -> None:
        self._job, self._models, self._progress, self._outlook = job, models, progress, outlook
        self._conditioning, self._prepared = conditioning, prepared
        self._denoiser = GuidedDenoiser(job, models, conditioning, prepared)
        self._solver = self._solver_of(job.steps)

    async def variants(self) -> list[Variant]:
        """Makes and scores the variants; with early dropping, those that promise most (successive halving)."""
        left = list(range(self._job.variants))
        if draft := self._job.draft:
            solver = self._solver_of(draft.draft_steps)
            left = self._chosen(await gather(*(self._drafted(index, solver) for index in left)), draft.keep)
        going = {index: self._begin(index, self._solver) for index in left}
        for after, keep in self._job.rounds.items():
            estimated = await gather(*(self._estimated(index, state, after) for index, state in going.items()))
            left = self._chosen([each.estimate for each in estimated], keep)
            going = {each.index: each.state for each in estimated if each.index in left}
        return await gather(*(self._finished(index, state) for index, state in going.items()))

    def _chosen(self, promised: Sequence[Variant], keep: int) -> list[int]:
        """Which variants go on; of the others it is told that they are given up."""
        # By the same rule as the finished ones: of equal scores the first.
        best = {each.index for each in rank(promised, keep)}
        for each in promised:
            if each.index not in best:
                self._progress.emit(VariantDropped(each.index, each.seed, each.scores))
        return sorted(best)

    def _solver_of(self, steps: int) -> Solver:
        return make_solver(self._job.scheduler, self._job.pipeline.schedule, steps)

    def _begin(self, index: int, solver: Solver) -> State:
        return solver.begin(self._noise(index).initial(self._latent_shape))

    async def _drafted(self, index: int, solver: Solver) -> Variant:
        """Finishes a variant in the few steps of `solver`, and scores it."""
        state = await self._denoised(index, solver, self._begin(index, solver), solver.steps, draft=True)
        return await self._judged(index, state.sample)

    async def _estimated(self, index: int, state: State, after: int) -> _Estimated:
        """Takes a variant's steps up to that one, and scores the picture that it predicts."""
        state = await self._denoised(index, self._solver, state, after)
        assert state.predicted_clean is not None, "a step was taken"
        return _Estimated(index, state, await self._judged(index, state.predicted_clean))

    async def _judged(self, index: int, latents: Floats) -> Variant:
        decoded = await decode(latents, self._prepared, self._models)
        scores = await score(decoded, self._prepared, self._conditioning, self._models)
        return Variant(index, self._seed(index), decoded, scores)

    async def _finished(self, index: int, state: State) -> Variant:
        """Takes the steps that are left, decodes and scores."""
        progress, seed = self._progress, self._seed(index)
        state = await self._denoised(index, self._solver, state, self._solver.steps)
        with progress.stage(Stage.DECODE):
            decoded = await decode(state.sample, self._prepared, self._models)
        with progress.stage(Stage.SCORE):
            scores = await score(decoded, self._prepared, self._conditioning, self._models)
        progress.emit(VariantDone(index, seed, scores))
        return Variant(index, seed, decoded, scores)

    async def _denoised(self, index: int, solver: Solver, state: State, until: int, *, draft: bool = False) -> State:
        report = _StepReporter(index, self._job, self._prepared, self._progress, self._outlook, solver.steps, draft)
        with self._progress.stage(Stage.DENOISE):
            return await denoise(self._denoiser, solver, self._noise(index), state, until, report)

    def _seed(self, index: int) -> int:
        return variant_seed(self._job.seed, index)

    def _noise(self, index: int) -> NoiseStream:
        return NoiseStream(self._seed(index))

    @property
    def _latent_shape(self) -> tuple[int, int, int]:
        spec, bucket = self._job.pipeline, self._prepared.scene.bucket
        return spec.latent_channels, bucket.height // spec.latent_factor, bucket.width // spec.latent_factor


@dataclasses.dataclass(frozen=True)
class _Estimated:
    """A variant on its way, and what it is becoming."""

    index: int
    state: State
    estimate: Variant


class _StepReporter:
    """Tells the stream and the outlook of each step that one variant takes."""

    def __init__(
        self, index: int, job: Job, prepared: Prepared, progress: Progress, outlook: Outlook, steps: int, draft: bool
    ) -> None:
        self._index, self._job, self._prepared, self._progress, self._outlook = index, job, prepared, progress, outlook
        self._steps, self._draft = steps, draft
        self._before = 0 if draft else job.steps_in_a_row - job.steps
        self._last = time.monotonic()

    def __call__(self, state: State) -> None:
        now = time.monotonic()
        self._outlook.step(self._before + state.index, now - self._last)
        self._last = now
        wanted = self._job.preview_every > 0 and state.index % self._job.preview_every == 0
        picture = self._preview(state) if wanted else b""
        self._progress.emit(StepDone(self._index, state.index, self._steps, picture, self._draft))

    def _preview(self, state: State) -> bytes:
        assert state.predicted_clean is not None, "a step was taken"
        spec = self._job.pipeline
        return preview(
            state.predicted_clean,
            self._prepared.scene_input,
            np.array(spec.preview_factors, np.float32),
            np.array(spec.preview_bias, np.float32),
            spec.latent_factor,
        )
