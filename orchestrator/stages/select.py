"""Select: ranks the variants, and finishes the best one by one: enlargement, compositing, encoding, receipt."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from backdrop.contract.finishing import encode, finished
from backdrop.contract.geometry import Rect
from backdrop.contract.parts import OutputFormat
from backdrop.contract.receipts import receipt
from orchestrator.arrays import Bytes
from orchestrator.events import Picture, Scores
from orchestrator.imaging.frame import Frame
from orchestrator.stages.frames import FrameSource
from orchestrator.stages.models import Models
from orchestrator.stages.upscale import enlarged


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """One variant; its decoded `scene` is [H, W, 3] as models made it, or None if the frame holds the scene."""

    index: int
    seed: int
    scene: Bytes | None
    scores: Scores | None
    """None if the pipeline has no reward model, or no model made the picture."""


async def _at_once() -> None:
    pass


def rank(variants: Sequence[Variant], top_k: int) -> list[Variant]:
    """The best `top_k` by total score; equal scores and variants without scores keep the order of the variants."""
    return sorted(variants, key=lambda variant: (-variant.scores.total if variant.scores else 0.0, variant.index))[
        :top_k
    ]


async def select(
    variants: Sequence[Variant],
    top_k: int,
    source: FrameSource,
    models: Models,
    output_format: OutputFormat,
    until_taken: Callable[[], Awaitable[None]] = _at_once,
) -> AsyncGenerator[Picture, None]:
    """Yields the finished pictures, best first. Only one picture at a time is in memory at full size.

    `until_taken` returns once the caller has taken the previous picture; then the next one is begun.
    """
    for place, variant in enumerate(rank(variants, top_k)):
        await until_taken()
        async with source.open() as frame:
            scene = await _scene(variant, frame, models)
            yield await asyncio.to_thread(_finish, variant, place, scene, frame, output_format)


async def _scene(variant: Variant, frame: Frame, models: Models) -> Bytes:
    """The scene at the frame's size."""
    if frame.scene is None:
        assert variant.scene is not None, "the task has a scene of its own, or models made one"
        return await enlarged(variant.scene, frame.inset, frame.size, models, once=True)
    height, width = frame.scene.shape[:2]
    return await enlarged(frame.scene, Rect(0, 0, width, height), frame.size, models)


def _finish(variant: Variant, place: int, scene: Bytes, frame: Frame, output_format: OutputFormat) -> Picture:
    data = encode(finished(scene, frame), output_format)
    return Picture(
        data=data,
        media_type=output_format.media_type,
        size=frame.size,
        rank=place,
        variant=variant.index,
        seed=variant.seed,
        scores=variant.scores,
        receipt=receipt(data, frame, scene),
    )
