"""The fake's Generate: the contract's events, in the contract's order, around painted scenes."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import AsyncGenerator

from backdrop._fake import pictures
from backdrop._fake.request import Request
from backdrop._fake.script import Failure, Script
from backdrop.contract.arrays import Bytes
from backdrop.contract.seeds import variant_seed
from backdrop.contract.write import fingerprints_message, timing_messages, warning_messages
from backdrop.v1 import generation_service_pb2 as pb


class Run:
    """One generation of a valid request."""

    def __init__(self, request: Request, request_id: str, script: Script) -> None:
        self._request = request
        self._request_id = request_id
        self._script = script
        self._stages: list[tuple[pb.Stage, float]] = []
        sampling, selection = request.parts.sampling, request.parts.selection
        seeds = [variant_seed(sampling.seed, index) for index in range(selection.variants)]
        # Variants are counted over all layouts; those of each have the same seeds.
        self._seeds = seeds * len(request.canvases)
        self._canvases = [canvas for canvas in request.canvases for _ in seeds]
        self._scores = [self._score(seed) for seed in self._seeds]
        bases = range(0, len(self._seeds), len(seeds))
        self._ranked = [sorted(range(base, base + len(seeds)), key=self._place) for base in bases]

    async def events(self, failure: Failure | None) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Yields everything from the first stage to the summary; raises `failure` after its steps."""
        sampled = self._request.sampled
        for stage in (pb.STAGE_ENCODE, pb.STAGE_PREPARE, pb.STAGE_DENOISE) if sampled else (pb.STAGE_PREPARE,):
            yield self._begin(stage)
        steps, selection = self._request.parts.sampling.steps, self._request.parts.selection
        first = self._request.parts.sampling.first(steps)
        rounds, running, keep = selection.rounds(steps, first), self._best(selection.variants), selection.variants
        drawn = list(zip(self._canvases, self._seeds, strict=True))
        painted = await asyncio.to_thread(lambda: [pictures.paint(self._request, *each) for each in drawn])
        drafts = selection.draft.draft_steps if selection.draft else 0
        # Variants run at the same time, so their steps alternate; drafts come before all of them.
        for step in [*range(-drafts, 0), *range(first, steps)]:
            if failure is not None and step == failure.after_steps:
                raise failure.error
            keep = selection.draft.keep if step == 0 and selection.draft else rounds.get(step, keep)
            for index in sorted(set(running) - set(self._best(keep))):
                dropped = pb.VariantDropped(variant=index, seed=self._seeds[index], scores=self._scores[index])
                yield pb.GenerateResponse(variant_dropped=dropped)
            running = self._best(keep)
            self._script.steps_run += len(running)
            await asyncio.sleep(self._script.step_delay_s)
            for index in running:
                done = (step + drafts + 1, drafts, True) if step < 0 else (step + 1, steps, False)
                yield pb.GenerateResponse(step=await self._progress(index, painted[index], *done))
        if sampled:
            yield self._begin(pb.STAGE_DECODE)
        if sampled and self._request.pipeline.reward_heads:
            yield self._begin(pb.STAGE_SCORE)
        for index in running:
            finished = pb.VariantFinished(variant=index, seed=self._seeds[index], scores=self._scores[index])
            yield pb.GenerateResponse(variant_finished=finished)
        yield self._begin(pb.STAGE_SELECT)
        for layout, ranked in enumerate(self._ranked):
            for rank, index in enumerate(ranked[: selection.top_k]):
                finish = functools.partial(pictures.finish, self._request, self._canvases[index], painted[index])
                picture = pb.Picture(rank=rank, variant=index, seed=self._seeds[index], scores=self._scores[index])
                picture.MergeFrom(await asyncio.to_thread(finish))
                picture.layout = layout
                yield pb.GenerateResponse(picture=picture)
        yield pb.GenerateResponse(summary=self._summary())

    async def _progress(self, index: int, picture: Bytes, step: int, steps: int, draft: bool) -> pb.StepProgress:
        every, preview = self._request.parts.delivery.preview_every, b""
        if every and step % every == 0:
            canvas = self._canvases[index]
            preview = await asyncio.to_thread(pictures.preview, self._request, canvas, picture, step / steps)
        return pb.StepProgress(variant=index, step=step, steps=steps, draft=draft, preview=preview)

    def _score(self, seed: int) -> pb.Scores | None:
        """Scores that follow from the request and the seed; None where no model makes or scores pictures."""
        if not self._request.sampled:
            return None
        dice = hashlib.sha256(f"{self._request.look} {seed} scores".encode()).digest()
        heads = {
            head: 0.4 + 0.6 * dice[place] / 255.0 for place, head in enumerate(self._request.pipeline.reward_heads)
        }
        return pb.Scores(total=sum(heads.values()) / len(heads), heads=heads) if heads else None

    def _best(self, keep: int) -> list[int]:
        """The best `keep` variants of each layout, in their own order."""
        return sorted(index for ranked in self._ranked for index in ranked[:keep])

    def _place(self, index: int) -> tuple[float, int]:
        """What variants are ranked by: the best score first, else their own order."""
        scores = self._scores[index]
        return (-scores.total if scores else 0.0, index)

    def _summary(self) -> pb.Summary:
        return pb.Summary(
            pictures=self._request.parts.selection.top_k * len(self._request.canvases),
            model_fingerprints=self._fingerprints(),
            timings=self._timings(),
            cache=pb.CacheReport(misses=2),
            settings=self._request.settings,
            request_id=self._request_id,
            usage=self._request.usage,
            warnings=warning_messages(self._request.warnings),
        )

    def _fingerprints(self) -> dict[str, str]:
        pipeline, used = self._request.pipeline, {each.name for each in self._request.parts.conditioning.adapters}
        return fingerprints_message(
            {model.name: model.fingerprint for model in pipeline.models},
            {adapter.name: adapter.fingerprint for adapter in pipeline.adapters if adapter.name in used},
        )

    def _begin(self, stage: pb.Stage) -> pb.GenerateResponse:
        self._stages.append((stage, time.monotonic()))
        return pb.GenerateResponse(stage=pb.StageStarted(stage=stage))

    def _timings(self) -> list[pb.StageTiming]:
        ends = [*(began for _, began in self._stages[1:]), time.monotonic()]
        return timing_messages((stage, end - began) for (stage, began), end in zip(self._stages, ends, strict=True))
