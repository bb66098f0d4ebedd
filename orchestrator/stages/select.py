"""Select: ranks the variants, and finishes the best: enlargement, compositing, encoding, receipt."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from orchestrator.domain import Floats, Job, Picture, Scores
from orchestrator.imaging.output import composite, encode, enlarge, receipt
from orchestrator.stages.prepare import Prepared


@dataclasses.dataclass(frozen=True)
class Variant:
    """One decoded, scored variant; `decoded` is [3, H, W] in −1…1 at the bucket's size."""

    index: int
    seed: int
    decoded: Floats
    scores: Scores


def rank(variants: Sequence[Variant], top_k: int) -> list[Variant]:
    """The best `top_k` by total score; equal scores keep the order of the variants."""
    return sorted(variants, key=lambda variant: (-variant.scores.total, variant.index))[:top_k]


async def select(variants: Sequence[Variant], prepared: Prepared, job: Job) -> list[Picture]:
    """Returns the job's finished pictures, best first. Only these are ever held at full size."""
    return [await asyncio.to_thread(_finish, variant, prepared, job) for variant in rank(variants, job.top_k)]


def _finish(variant: Variant, prepared: Prepared, job: Job) -> Picture:
    canvas = prepared.canvas
    scene = enlarge(variant.decoded, prepared.scene, canvas.size)
    data = encode(composite(scene, canvas), job.output_format)
    return Picture(
        data=data,
        size=canvas.size,
        variant=variant.index,
        seed=variant.seed,
        scores=variant.scores,
        receipt=receipt(data, canvas, job.mask_source),
    )
