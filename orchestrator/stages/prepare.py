"""Prepare: product, mask and placement to the canvas, its bucket, and the latents of the masked picture."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
from PIL import Image

from backdrop.errors import Reason, error
from orchestrator.cache.lookups import RequestLookups
from orchestrator.domain import Bytes, Floats, Job, Size
from orchestrator.imaging.canvas import Canvas, SceneInput, build_canvas, build_scene_input
from orchestrator.imaging.placement import Scene, bounding_box, choose_scene, place
from orchestrator.stages.models import Models

# A segmenter is never quite sure; what is nearly certain is made certain, so that the product's inside is opaque.
_CERTAIN_SCENE, _CERTAIN_PRODUCT = 0.08, 0.9


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What the variants of a job share: `masked_image_latents` is [C, h, w], scaled."""

    canvas: Canvas
    scene: Scene
    scene_input: SceneInput
    masked_image_latents: Floats


async def prepare(job: Job, models: Models, lookups: RequestLookups) -> Prepared:
    """Places the product and encodes the masked picture; runs the segmenter where the job has no mask.

    Raises:
        InvalidRequestError: no product was found, or it leaves no room for a scene.
    """
    mask = job.mask if job.mask is not None else await _segment(job, models, lookups)
    canvas, scene, scene_input = await asyncio.to_thread(_arrange, job, mask)
    encoded = await lookups.arrays(
        "product-latents",
        models.fingerprint("vae_encoder"),
        {"image": scene_input.product},
        lambda: models.one("vae_encoder", image=scene_input.product),
    )
    return Prepared(canvas, scene, scene_input, encoded["latents"])


async def _segment(job: Job, models: Models, lookups: RequestLookups) -> Bytes:
    """The segmenter's alpha [H, W] at the photo's size."""
    height, width = job.photo.shape[:2]
    bucket = choose_scene(Size(width, height), job.pipeline.buckets).bucket

    def shrink() -> Floats:
        small = Image.fromarray(job.photo).resize((bucket.width, bucket.height), Image.Resampling.LANCZOS)
        return np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1.0)

    def stretch(alpha: Floats) -> Bytes:
        sure = np.clip((alpha - _CERTAIN_SCENE) / (_CERTAIN_PRODUCT - _CERTAIN_SCENE), 0.0, 1.0)
        grey = Image.fromarray(np.rint(sure * 255).astype(np.uint8))
        return np.array(grey.resize((width, height), Image.Resampling.BICUBIC))

    image = await asyncio.to_thread(shrink)
    found = await lookups.arrays(
        "mask", models.fingerprint("segmenter"), {"image": image}, lambda: models.one("segmenter", image=image)
    )
    mask = await asyncio.to_thread(stretch, found["alpha"][0])
    if not mask.any():
        message = "no product was found in the photo; send a mask, or a photo with an alpha channel."
        raise error(Reason.INVALID_MASK, message, field="mask")
    return mask


def _arrange(job: Job, mask: Bytes) -> tuple[Canvas, Scene, SceneInput]:
    cutout = bounding_box(mask)
    assert cutout is not None, "parse and _segment refuse empty masks"
    size = job.output_size or Size(mask.shape[1], mask.shape[0])
    canvas = build_canvas(job.photo, mask, cutout, size, place(cutout, size, job.placement))
    if (canvas.mask == 255).all():
        message = "the product fills the whole picture; there is no scene to make. Give it padding or a smaller box."
        raise error(Reason.INVALID_MASK, message, field="placement" if job.placement else "mask")
    scene = choose_scene(size, job.pipeline.buckets)
    return canvas, scene, build_scene_input(canvas, scene, job.pipeline.latent_factor)
