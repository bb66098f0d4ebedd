"""Segment: the mask of the object in a picture, if the caller sent none."""

from __future__ import annotations

import asyncio

import numpy as np
from PIL import Image

from backdrop.contract.geometry import Size, nearest_bucket
from backdrop.errors import Reason, error
from orchestrator.arrays import Bytes, Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.stages.models import Models

# A segmenter's alpha hardly reaches 0 or 1. Beyond these limits it becomes 0 or 1, so that the inside is opaque.
_CERTAIN_OUTSIDE, _CERTAIN_INSIDE = 0.08, 0.9


async def segment(picture: Bytes, field: str, models: Models, lookups: RequestLookups) -> Bytes:
    """The segmenter's alpha [H, W] at the picture's size, cached by what the segmenter sees.

    Raises:
        InvalidRequestError: nothing was found; `field` is named.
    """
    size = Size(picture.shape[1], picture.shape[0])
    image = await asyncio.to_thread(_shrink, picture, nearest_bucket(size, models.pipeline.buckets))
    outputs = await lookups.arrays(
        "mask", models.fingerprint("segmenter"), {"image": image}, lambda: models.one("segmenter", image=image)
    )
    mask = await asyncio.to_thread(_stretch, outputs["alpha"][0], size)
    if not mask.any():
        message = "nothing was found to cut out of the picture; send a mask, or a picture with an alpha channel."
        raise error(Reason.INVALID_MASK, message, field=field)
    return mask


def _shrink(picture: Bytes, bucket: Size) -> Floats:
    small = Image.fromarray(picture).resize((bucket.width, bucket.height), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1.0)


def _stretch(alpha: Floats, size: Size) -> Bytes:
    sure = np.clip((alpha - _CERTAIN_OUTSIDE) / (_CERTAIN_INSIDE - _CERTAIN_OUTSIDE), 0.0, 1.0)
    grey = Image.fromarray(np.rint(sure * 255).astype(np.uint8))
    return np.array(grey.resize((size.width, size.height), Image.Resampling.BICUBIC))
