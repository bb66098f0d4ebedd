"""Prepare: from a task's pictures to its frame, the models' view of the frame, and the latents of known pixels."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from backdrop.contract.parts import Sampling
from orchestrator.arrays import Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.imaging.frame import Frame
from orchestrator.imaging.view import ModelView, start_of, view_of
from orchestrator.repository.conventions import LatentMask
from orchestrator.stages.blend import Blend
from orchestrator.stages.frames import FrameSource
from orchestrator.stages.models import Models, batch_of
from orchestrator.stages.segment import segment, shrink, stretch

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """What the variants of a request share."""

    view: ModelView
    known_latents: Floats | None
    """[tiles, C, h, w], scaled: the known pixels of each tile as the VAE encodes them; None if the denoiser does not
    read them."""
    blank_latents: Floats | None = None
    """[C, h, w], scaled: of a tile of which no pixel is known, for unconditional rows that know nothing of the picture.
    None where they know what the prompt's rows know."""
    start_latents: Floats | None = None
    """[C, h, w], scaled: what the noise starts from; None for pure noise."""
    blend: Blend | None = None
    """None if the denoiser sees known pixels, or the task knows none."""


async def prepare(source: FrameSource, sampling: Sampling, models: Models, lookups: RequestLookups) -> Prepared:
    """Makes the frame and encodes its known pixels; runs the segmenter if the task needs a mask and has none.

    With a strength below 1, the noise starts from the known picture, which is encoded whole. Where a made part
    continues a known one, the noise starts from the colours around it. Where guidance also strengthens the picture,
    a tile without known pixels is encoded too.

    Raises:
        InvalidRequestError: a picture is faulty, the segmenter found nothing, or the pictures leave nothing to make.
    """
    pipeline = models.pipeline
    sees_known = models.takes("denoiser", "masked_image_latents")
    blends = source.task.keeps_pixels and not sees_known
    hard = pipeline.conventions.latent_mask is LatentMask.NEAREST

    def look(frame: Frame) -> tuple[ModelView, Floats | None, bool]:
        starts = sampling.strength < 1 or frame.continues
        whole = start_of(frame) if starts or blends else None
        return view_of(frame, pipeline.latent_factor, hard=hard), whole, starts

    view, whole, starts = await _seen(source, look, models, lookups)
    known = blank = None
    if sees_known:
        tiles = view.tiling.cut(view.known)
        known = await _encoded(tiles, models, lookups)
        if source.task.rules.picture_guides and sampling.guided:
            (blank,) = await _encoded(np.zeros_like(tiles[:1]), models, lookups)
    latents = None
    if whole is not None:
        latents = view.tiling.merge(await _encoded(view.tiling.cut(whole), models, lookups))
    return Prepared(
        view,
        known,
        blank,
        latents if starts else None,
        Blend(latents, view.latent_mask) if blends and latents is not None else None,
    )


async def find_mask(source: FrameSource, models: Models, lookups: RequestLookups) -> None:
    """Runs the segmenter if the task needs a mask and has none.

    Raises:
        InvalidRequestError: a picture is faulty, the segmenter found nothing, or the pictures leave nothing to make.
    """
    await _seen(source, lambda frame: None, models, lookups)


async def _seen(source: FrameSource, look: Callable[[Frame], T], models: Models, lookups: RequestLookups) -> T:
    """What `look` makes of the frame; the segmenter makes the masks that the task needs and does not have."""
    smaller = functools.partial(shrink, buckets=models.pipeline.buckets)
    seen = await source.seen(look, smaller)
    if isinstance(seen, list):
        alphas = await gather(*(segment(each.image, models, lookups) for each in seen))
        for each, alpha in zip(seen, alphas, strict=True):
            source.masked_by(each.index, functools.partial(stretch, alpha, each.field))
        seen = await source.seen(look, smaller)
    assert not isinstance(seen, list), "the segmenter has made the masks"
    return seen


async def _encoded(tiles: Floats, models: Models, lookups: RequestLookups) -> Floats:
    """The VAE's latents [tiles, C, h, w] of the tiles [tiles, 3, H, W] of a picture, each cached by its content."""

    async def latents(image: Floats) -> Floats:
        outputs = await lookups.arrays(
            "known-latents",
            models.fingerprint("vae_encoder"),
            {"image": image},
            lambda: models.one("vae_encoder", image=image),
        )
        encoded: Floats = outputs["latents"]
        return encoded

    return batch_of(*await gather(*(latents(image) for image in tiles)))
