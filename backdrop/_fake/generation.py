"""The fake's Generate: the contract's events, in the contract's order, around painted scenes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncGenerator

from google.protobuf.duration_pb2 import Duration

from backdrop._fake import pictures
from backdrop._fake.frame import Bytes
from backdrop._fake.info import HEADS
from backdrop._fake.request import Request
from backdrop._fake.script import Failure, Script
from backdrop.contract.geometry import Size
from backdrop.contract.parts import OutputFormat
from backdrop.contract.seeds import variant_seed
from backdrop.v1 import generation_service_pb2 as pb


class Run:
    """One generation of a valid request."""

    def __init__(self, request: Request, request_id: str, script: Script) -> None:
        self._request = request
        self._request_id = request_id
        self._script = script
        self._stages: list[tuple[pb.Stage, float]] = []
        parts, scene_size = request.parts, request.settings.scene_size
        self._scene_size = Size(scene_size.width, scene_size.height)
        self._seeds = [variant_seed(parts.sampling.seed, index) for index in range(parts.selection.variants)]
        self._scores = [self._score(seed) for seed in self._seeds]
        self._ranked = sorted(range(len(self._seeds)), key=lambda index: (-self._scores[index].total, index))

    async def events(self, failure: Failure | None) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Yields everything from the first stage to the summary; raises `failure` after its steps."""
        for stage in (pb.STAGE_ENCODE, pb.STAGE_PREPARE, pb.STAGE_DENOISE):
            yield self._begin(stage)
        painted = await asyncio.gather(*(asyncio.to_thread(self._paint, seed) for seed in self._seeds))
        async with contextlib.aclosing(self._denoise(painted, failure)) as steps:
            async for event in steps:
                yield event
        yield self._begin(pb.STAGE_DECODE)
        yield self._begin(pb.STAGE_SCORE)
        for index in self._running(self._request.parts.sampling.steps - 1):
            finished = pb.VariantFinished(variant=index, seed=self._seeds[index], scores=self._scores[index])
            yield pb.GenerateResponse(variant_finished=finished)
        yield self._begin(pb.STAGE_SELECT)
        for rank, index in enumerate(self._ranked[: self._request.parts.selection.top_k]):
            picture = await asyncio.to_thread(self._finish, rank, index, painted[index])
            yield pb.GenerateResponse(picture=picture)
        yield pb.GenerateResponse(summary=self._summary())

    async def _denoise(
        self, painted: list[Bytes], failure: Failure | None
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Variants run at the same time, so their steps alternate; drafts come before all of them."""
        steps, draft = self._request.parts.sampling.steps, self._request.parts.selection.draft
        running = sorted(self._ranked)
        for step in range(1, draft.draft_steps + 1 if draft else 1):
            for event in await self._step(running, painted, step, draft.draft_steps if draft else 0, draft=True):
                yield event
        for step in range(1, steps + 1):
            if failure is not None and failure.after_steps < step:
                raise failure.error
            before, running = running, self._running(step - 1)
            for index in sorted(set(before) - set(running)):
                dropped = pb.VariantDropped(variant=index, seed=self._seeds[index], scores=self._scores[index])
                yield pb.GenerateResponse(variant_dropped=dropped)
            for event in await self._step(running, painted, step, steps):
                yield event

    async def _step(
        self, running: list[int], painted: list[Bytes], step: int, steps: int, draft: bool = False
    ) -> list[pb.GenerateResponse]:
        """A step of each variant that runs."""
        self._script.steps_run += len(running)
        await asyncio.sleep(self._script.step_delay_s)
        every, events = self._request.parts.delivery.preview_every, []
        for index in running:
            progress = pb.StepProgress(variant=index, step=step, steps=steps, draft=draft)
            if every and step % every == 0:
                progress.preview = await asyncio.to_thread(self._preview, painted[index], step / steps)
            events.append(pb.GenerateResponse(step=progress))
        return events

    def _running(self, step: int) -> list[int]:
        """The variants that take the step, counted from 0: all, or those with the best scores."""
        parts = self._request.parts
        keep = parts.selection.draft.keep if parts.selection.draft else parts.selection.variants
        for after, fewer in parts.selection.rounds(parts.sampling.steps).items():
            if after <= step:
                keep = fewer
        return sorted(self._ranked[:keep])

    def _paint(self, seed: int) -> Bytes:
        scene = pictures.paint_scene(f"{self._request.look} {seed}", self._scene_size)
        frame = self._request.frame
        return pictures.composite(pictures.resize(scene, frame.size), frame)

    def _preview(self, picture: Bytes, done: float) -> bytes:
        """The scene rises from mid grey from step to step; the known pixels are there from the first."""
        faded = (128 + (picture.astype("int16") - 128) * done).astype("uint8")
        small = Size(self._scene_size.width // 2, self._scene_size.height // 2)
        composited = pictures.composite(faded, self._request.frame)
        return pictures.encode(pictures.resize(composited, small), OutputFormat.JPEG)

    def _score(self, seed: int) -> pb.Scores:
        dice = hashlib.sha256(f"{self._request.look} {seed} scores".encode()).digest()
        heads = {head: 0.4 + 0.6 * dice[place] / 255.0 for place, head in enumerate(HEADS)}
        return pb.Scores(total=sum(heads.values()) / len(heads), heads=heads)

    def _finish(self, rank: int, index: int, picture: Bytes) -> pb.Picture:
        frame, output_format = self._request.frame, self._request.parts.delivery.format
        data = pictures.encode(picture, output_format)
        return pb.Picture(
            data=data,
            media_type=output_format.media_type,
            width=frame.size.width,
            height=frame.size.height,
            rank=rank,
            variant=index,
            seed=self._seeds[index],
            scores=self._scores[index],
            receipt=pictures.receipt(data, frame),
        )

    def _summary(self) -> pb.Summary:
        return pb.Summary(
            pictures=self._request.parts.selection.top_k,
            model_fingerprints={model.name: model.fingerprint for model in self._request.pipeline.models},
            timings=self._timings(),
            cache=pb.CacheReport(misses=2),
            settings=self._request.settings,
            request_id=self._request_id,
            usage=self._request.usage,
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
