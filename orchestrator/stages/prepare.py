"""Prepare: from a task's pictures to its frame, the models' view of the frame, and the latents of known pixels."""

from __future__ import annotations

import asyncio
import dataclasses

from backdrop.contract.canvas import MaskSource
from orchestrator.arrays import Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.imaging.frame import Frame
from orchestrator.imaging.view import ModelView, start_of, view_of
from orchestrator.stages.models import Models
from orchestrator.stages.segment import segment
from orchestrator.tasks import MaskNeed, Task, TaskInput


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """What the variants of a request share."""

    frame: Frame
    view: ModelView
    known_latents: Floats | None
    """[C, h, w], scaled: the known pixels as the VAE encodes them; None if the denoiser does not read them."""
    start_latents: Floats | None = None
    """[C, h, w], scaled: the whole known picture; None if the noise does not start from it."""


async def prepare(task: Task, inputs: TaskInput, strength: float, models: Models, lookups: RequestLookups) -> Prepared:
    """Makes the frame and encodes its known pixels; runs the segmenter if the task needs a mask and has none.

    With a strength below 1, the noise starts from the known picture, which is encoded whole.

    Raises:
        InvalidRequestError: the segmenter found nothing, or the pictures leave nothing to make.
    """
    if task.mask is MaskNeed.SEGMENTED and inputs.mask is None:
        assert inputs.picture is not None, "a task that takes a mask requires a picture"
        mask = await segment(inputs.picture, f"{task.name}.mask", models, lookups)
        inputs = dataclasses.replace(inputs, mask=mask, mask_source=MaskSource.SEGMENTER)
    frame, view = await asyncio.to_thread(_arrange, task, inputs, models.pipeline.latent_factor)
    known = await _encoded(view.known, models, lookups) if models.takes("denoiser", "masked_image_latents") else None
    start = await _encoded(start_of(frame), models, lookups) if strength < 1 else None
    return Prepared(frame, view, known, start)


async def _encoded(image: Floats, models: Models, lookups: RequestLookups) -> Floats:
    """The VAE's latents [C, h, w] of a picture [3, H, W], cached by its content."""
    outputs = await lookups.arrays(
        "known-latents",
        models.fingerprint("vae_encoder"),
        {"image": image},
        lambda: models.one("vae_encoder", image=image),
    )
    latents: Floats = outputs["latents"]
    return latents


def _arrange(task: Task, inputs: TaskInput, factor: int) -> tuple[Frame, ModelView]:
    frame = task.frame(inputs)
    return frame, view_of(frame, factor)
