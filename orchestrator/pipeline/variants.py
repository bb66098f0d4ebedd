"""The variants of one request from noise to scores, with early dropping on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from backdrop.contract.parts import Sampling, Selection, sequential_steps
from backdrop.contract.seeds import variant_seed
from orchestrator.arrays import Bytes, Floats
from orchestrator.concurrency import gather
from orchestrator.events import Scores, Stage, StepDone, VariantDropped, VariantFinished
from orchestrator.imaging.finish import to_bytes
from orchestrator.imaging.preview import preview
from orchestrator.imaging.view import ModelView
from orchestrator.pipeline.outlook import Outlook
from orchestrator.pipeline.progress import Progress
from orchestrator.sampler import NoiseStream, Solver, State, make_solver
from orchestrator.stages.decode import decode
from orchestrator.stages.denoise import GuidedDenoiser, denoise
from orchestrator.stages.models import Models
from orchestrator.stages.palette import PaletteGuide
from orchestrator.stages.prepare import Prepared
from orchestrator.stages.score import score
from orchestrator.stages.select import Variant, rank


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """Decodes and scores latents of one request; `progress` times the stages of finished variants.

    Without a reward model there are no scores, and the contract refuses what needs them.
    """

    models: Models
    view: ModelView
    pooled: Floats | None
    heads: tuple[str, ...]
    progress: Progress
    guide: PaletteGuide | None = None

    async def finished(self, latents: Floats) -> tuple[Bytes, Scores | None]:
        """The scene [H, W, 3] and scores of a finished variant: the stages DECODE and SCORE."""
        with self.progress.stage(Stage.DECODE):
            decoded = await self._decoded(latents)
        if not self.models.pipeline.scores:
            return to_bytes(decoded), None
        with self.progress.stage(Stage.SCORE):
            return to_bytes(decoded), await self._score(decoded)

    async def previewed(self, latents: Floats) -> tuple[Bytes, Scores]:
        """The same for a draft or a predicted picture, which belongs to the stage DENOISE."""
        decoded = await self._decoded(latents)
        return to_bytes(decoded), await self._score(decoded)

    async def _decoded(self, latents: Floats) -> Floats:
        decoded = await decode(latents, self.view, self.models)
        return decoded if self.guide is None else await asyncio.to_thread(self.guide.scene, decoded)

    async def _score(self, decoded: Floats) -> Scores:
        return await score(decoded, self.view, self.pooled, self.models, self.heads)

    def preview(self, state: State) -> bytes:
        """A JPEG of the picture that a state predicts."""
        assert state.predicted_clean is not None, "a step was taken"
        spec = self.models.pipeline
        factors, bias = np.array(spec.preview_factors, np.float32), np.array(spec.preview_bias, np.float32)
        return preview(state.predicted_clean, self.view, factors, bias, spec.latent_factor)


class VariantRun:
    """All variants of one request; they run concurrently, so their rows share batches."""

    def __init__(
        self,
        sampling: Sampling,
        selection: Selection,
        denoiser: GuidedDenoiser,
        judge: Judge,
        outlook: Outlook,
        preview_every: int,
        prepared: Prepared,
        layout: int = 0,
    ) -> None:
        self._sampling, self._selection = sampling, selection
        self._denoiser, self._judge, self._outlook = denoiser, judge, outlook
        self._preview_every = preview_every
        # Variants are counted over all layouts of a request; those of each have the same seeds.
        self._base = layout * selection.variants
        self._start, self._blend = prepared.start_latents, prepared.blend
        self._progress = judge.progress
        self._solver = self._solver_of(sampling.steps)

    async def variants(self) -> list[Variant]:
        """Makes and scores the variants; with early dropping, the most promising ones (successive halving)."""
        remaining = list(range(self._base, self._base + self._selection.variants))
        if draft := self._selection.draft:
            solver = self._solver_of(draft.draft_steps)
            remaining = self._chosen(await gather(*(self._drafted(index, solver) for index in remaining)), draft.keep)
        running = {index: self._begin(index, self._solver) for index in remaining}
        for after, keep in self._selection.rounds(self._sampling.steps, self._first(self._solver)).items():
            estimates = await gather(*(self._estimated(index, state, after) for index, state in running.items()))
            remaining = self._chosen([each.variant for each in estimates], keep)
            running = {each.variant.index: each.state for each in estimates if each.variant.index in remaining}
        return await gather(*(self._finished(index, state) for index, state in running.items()))

    def _chosen(self, candidates: Sequence[Variant], keep: int) -> list[int]:
        """The indices of the variants that continue; the stream gets an event for each of the others."""
        # Ranked by the rule for finished variants: of equal scores the earlier variant is better.
        best = {each.index for each in rank(candidates, keep)}
        for each in candidates:
            if each.index not in best:
                assert each.scores is not None, "without a reward model, early dropping is refused"
                self._progress.emit(VariantDropped(each.index, each.seed, each.scores))
        return sorted(best)

    def _solver_of(self, steps: int) -> Solver:
        return make_solver(self._sampling.scheduler, self._judge.models.pipeline.schedule, steps)

    def _begin(self, index: int, solver: Solver) -> State:
        return solver.begin(self._noise(index).initial(self._latent_shape), self._start, self._first(solver))

    def _first(self, solver: Solver) -> int:
        """The first step that is taken, counted from 0."""
        return 0 if self._start is None else self._sampling.first(solver.steps - solver.extra_calls)

    async def _drafted(self, index: int, solver: Solver) -> Variant:
        """Makes a draft of a variant in the few steps of `solver`, and scores it."""
        state = await self._denoised(index, solver, self._begin(index, solver), solver.steps, draft=True)
        return Variant(index, self._seed(index), *await self._judge.previewed(state.sample))

    async def _estimated(self, index: int, state: State, after: int) -> _Estimate:
        """Takes a variant's steps up to `after`, and scores the picture that it predicts."""
        state = await self._denoised(index, self._solver, state, after)
        assert state.predicted_clean is not None, "a step was taken"
        variant = Variant(index, self._seed(index), *await self._judge.previewed(state.predicted_clean))
        return _Estimate(state, variant)

    async def _finished(self, index: int, state: State) -> Variant:
        """Takes the remaining steps, decodes and scores."""
        state = await self._denoised(index, self._solver, state, self._solver.steps)
        variant = Variant(index, self._seed(index), *await self._judge.finished(state.sample))
        self._progress.emit(VariantFinished(index, variant.seed, variant.scores))
        return variant

    async def _denoised(self, index: int, solver: Solver, state: State, until: int, *, draft: bool = False) -> State:
        # Added to the state's index: steps of the draft, which comes first, less the skipped steps.
        total = sequential_steps(self._sampling, self._selection)
        before = -self._first(solver) if draft else total - solver.steps
        last = time.monotonic()

        def on_step(state: State) -> None:
            nonlocal last
            now = time.monotonic()
            self._outlook.step(before + state.index, now - last)
            last = now
            shown = self._preview_every > 0 and state.index % self._preview_every == 0
            picture = self._judge.preview(state) if shown else b""
            self._progress.emit(StepDone(index, state.index, solver.steps, picture, draft))

        with self._progress.stage(Stage.DENOISE):
            noise, guide = self._noise(index), self._judge.guide
            return await denoise(self._denoiser, solver, noise, state, until, on_step, self._blend, guide)

    def _seed(self, index: int) -> int:
        return variant_seed(self._sampling.seed, index - self._base)

    def _noise(self, index: int) -> NoiseStream:
        return NoiseStream(self._seed(index))

    @property
    def _latent_shape(self) -> tuple[int, int, int]:
        spec, size = self._judge.models.pipeline, self._judge.view.size
        return spec.latent_channels, size.height // spec.latent_factor, size.width // spec.latent_factor


@dataclasses.dataclass(frozen=True, eq=False)
class _Estimate:
    """An unfinished variant, and the scores of the picture that it predicts."""

    state: State
    variant: Variant
