"""The fake's Generate: the contract's events, in the contract's order, around painted scenes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import time
from collections.abc import AsyncGenerator

from google.protobuf.duration_pb2 import Duration

from backdrop._fake import pictures
from backdrop._fake.plan import Plan, variant_seed
from backdrop._fake.script import Failure, Script
from backdrop.v1 import generation_service_pb2 as pb

HEADS = ("defects", "fidelity", "aesthetics")


@dataclasses.dataclass(frozen=True)
class _Variant:
    index: int
    seed: int
    picture: pictures.Bytes
    scores: pb.Scores


class Run:
    """One generation of a valid plan."""

    def __init__(self, plan: Plan, request_id: str, fingerprints: dict[str, str], script: Script) -> None:
        self._plan = plan
        self._request_id = request_id
        self._fingerprints = fingerprints
        self._script = script
        self._stages: list[tuple[pb.Stage, float]] = []

    async def events(self, failure: Failure | None) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Yields everything from the first stage to the result; raises `failure` after its steps."""
        for stage in (pb.STAGE_ENCODE, pb.STAGE_PREPARE, pb.STAGE_DENOISE):
            yield self._begin(stage)
        seeds = [variant_seed(self._plan.settings.seed, index) for index in range(self._plan.settings.variants)]
        painted = await asyncio.gather(*(asyncio.to_thread(self._paint, seed) for seed in seeds))
        async with contextlib.aclosing(self._denoise(seeds, painted, failure)) as steps:
            async for event in steps:
                yield event
        yield self._begin(pb.STAGE_DECODE)
        yield self._begin(pb.STAGE_SCORE)
        left = self._left(seeds, self._plan.settings.steps - 1)
        variants = [_Variant(index, seeds[index], painted[index], self._score(seeds[index])) for index in left]
        for variant in variants:
            finished = pb.VariantFinished(variant=variant.index, seed=variant.seed, scores=variant.scores)
            yield pb.GenerateResponse(variant=finished)
        yield self._begin(pb.STAGE_SELECT)
        yield pb.GenerateResponse(result=await asyncio.to_thread(self._result, variants))

    async def _denoise(
        self, seeds: list[int], painted: list[pictures.Bytes], failure: Failure | None
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Variants run side by side, so their steps alternate; drafts come before all of them."""
        steps, drafted = self._plan.settings.steps, self._plan.draft_steps
        running = list(range(len(seeds)))
        for step in range(1, drafted + 1):
            for progress in await self._step(running, painted, pb.StepProgress(step=step, steps=drafted, draft=True)):
                yield progress
        for step in range(1, steps + 1):
            if failure is not None and failure.after_steps < step:
                raise failure.error
            before, running = running, self._left(seeds, step - 1)
            for index in sorted(set(before) - set(running)):
                dropped = pb.VariantDropped(variant=index, seed=seeds[index], scores=self._score(seeds[index]))
                yield pb.GenerateResponse(dropped=dropped)
            for progress in await self._step(running, painted, pb.StepProgress(step=step, steps=steps)):
                yield progress

    async def _step(
        self, running: list[int], painted: list[pictures.Bytes], progress: pb.StepProgress
    ) -> list[pb.GenerateResponse]:
        """A step of each variant that runs."""
        self._script.steps_run += len(running)
        await asyncio.sleep(self._script.step_delay_s)
        every, made = self._plan.preview_every, []
        for index in running:
            progress.variant, progress.preview = index, b""
            if every and progress.step % every == 0:
                done = progress.step / progress.steps
                progress.preview = await asyncio.to_thread(self._preview, painted[index], done)
            made.append(pb.GenerateResponse(step=progress))
        return made

    def _left(self, seeds: list[int], step: int) -> list[int]:
        """The variants that take the step, counted from 0: all, or those of the best scores."""
        best = sorted(range(len(seeds)), key=lambda index: (-self._score(seeds[index]).total, index))
        return sorted(best[: self._plan.left_at(step)])

    def _paint(self, seed: int) -> pictures.Bytes:
        settings = self._plan.settings
        scene = pictures.paint_scene(
            f"{self._plan.recipe} {seed}", (settings.scene_size.width, settings.scene_size.height)
        )
        enlarged = pictures.resize(scene, (settings.output_size.width, settings.output_size.height))
        return pictures.composite(enlarged, self._plan.canvas)

    def _preview(self, picture: pictures.Bytes, done: float) -> bytes:
        """The scene rises from mid grey as the steps go by; the product is there from the first."""
        faded = (128 + (picture.astype("int16") - 128) * done).astype("uint8")
        with_product = pictures.composite(faded, self._plan.canvas)
        size = self._plan.settings.scene_size
        return pictures.encode(pictures.resize(with_product, (size.width // 2, size.height // 2)), "JPEG")

    def _score(self, seed: int) -> pb.Scores:
        dice = hashlib.sha256(f"{self._plan.recipe} {seed} scores".encode()).digest()
        heads = {head: 0.4 + 0.6 * dice[place] / 255.0 for place, head in enumerate(HEADS)}
        return pb.Scores(total=sum(heads.values()) / len(heads), heads=heads)

    def _result(self, variants: list[_Variant]) -> pb.GenerateResult:
        best = sorted(variants, key=lambda variant: (-variant.scores.total, variant.index))
        return pb.GenerateResult(
            pictures=[self._finish(variant) for variant in best[: self._plan.settings.top_k]],
            model_fingerprints=self._fingerprints,
            timings=self._timings(),
            cache=pb.CacheReport(misses=2),
            pipeline=self._plan.pipeline,
            settings=self._plan.settings,
            request_id=self._request_id,
            usage=self._usage(),
        )

    def _usage(self) -> pb.Usage:
        plan, scene = self._plan, self._plan.settings.scene_size
        megapixels = plan.row_steps * scene.width * scene.height / 1e6
        return pb.Usage(row_steps=plan.row_steps, saved_row_steps=plan.saved_row_steps, row_step_megapixels=megapixels)

    def _finish(self, variant: _Variant) -> pb.Picture:
        data = pictures.encode(variant.picture, self._plan.pillow_format)
        return pb.Picture(
            data=data,
            media_type=f"image/{self._plan.pillow_format.lower()}",
            width=self._plan.settings.output_size.width,
            height=self._plan.settings.output_size.height,
            variant=variant.index,
            seed=variant.seed,
            scores=variant.scores,
            receipt=pictures.receipt(data, self._plan.canvas, self._plan.mask_source),
        )

    def _begin(self, stage: pb.Stage) -> pb.GenerateResponse:
        self._stages.append((stage, time.monotonic()))
        return pb.GenerateResponse(stage=pb.StageStarted(stage=stage))

    def _timings(self) -> list[pb.StageTiming]:
        ends = [began for _, began in self._stages[1:]] + [time.monotonic()]
        timings = []
        for (stage, began), end in zip(self._stages, ends, strict=True):
            duration = Duration()
            duration.FromNanoseconds(round((end - began) * 1e9))
            timings.append(pb.StageTiming(stage=stage, duration=duration))
        return timings
