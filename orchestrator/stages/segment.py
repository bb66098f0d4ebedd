"""Segment: the mask of the object in a picture, if the caller sent none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from backdrop.contract.geometry import Size, nearest_bucket
from backdrop.errors import Reason, error
from orchestrator.arrays import Bytes, Floats
from orchestrator.cache.lookups import RequestLookups
from orchestrator.stages.models import Models

# A segmenter's alpha hardly reaches 0 or 1. Beyond these limits it becomes 0 or 1, so that the inside is opaque.
_CERTAIN_OUTSIDE, _CERTAIN_INSIDE = 0.08, 0.9


async def segment(image: Floats, models: Models, lookups: RequestLookups) -> Floats:
    """The segmenter's alpha [h, w] of what `shrink` made, cached by what the segmenter sees."""
    outputs = await lookups.arrays(
        "mask", models.fingerprint("segmenter"), {"image": image}, lambda: models.one("segmenter", image=image)
    )
    alpha: Floats = outputs["alpha"][0]
    return alpha


def shrink(picture: Bytes, buckets: Sequence[Size]) -> Floats:
    """A picture [H, W, 3] as the segmenter reads it: [3, h, w] in −1…1, in the nearest bucket."""
    bucket = nearest_bucket(Size(picture.shape[1], picture.shape[0]), buckets)
    small = Image.fromarray(picture).resize((bucket.width, bucket.height), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(small, np.float32).transpose(2, 0, 1) / 127.5 - 1.0)


def stretch(alpha: Floats, field: str, picture: Bytes) -> Bytes:
    """The mask [H, W] of a picture [H, W, 3], from the segmenter's alpha [h, w].

    Raises:
        InvalidRequestError: nothing was found; `field` is named.
    """
    sure = np.clip((alpha - _CERTAIN_OUTSIDE) / (_CERTAIN_INSIDE - _CERTAIN_OUTSIDE), 0.0, 1.0)
    grey = Image.fromarray(np.rint(sure * 255).astype(np.uint8))
    mask = np.array(grey.resize((picture.shape[1], picture.shape[0]), Image.Resampling.BICUBIC))
    if not mask.any():
        message = "nothing was found to cut out of the picture; send a mask, or a picture with an alpha channel."
        raise error(Reason.INVALID_MASK, message, field=field)
    return mask
