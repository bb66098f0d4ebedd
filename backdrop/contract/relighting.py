"""Relight: which pixels of a picture may change so that its product fits into the scene, and how far."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.borders import border_band
from backdrop.contract.canvas import Border, Canvas, Kept, MaskSource
from backdrop.contract.geometry import Rect
from backdrop.contract.limits import MAX_BAND
from backdrop.contract.masks import check_product_marked
from backdrop.contract.numbers import within
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

STRENGTH = 0.7
"""Default of how far the colours at a product's edge go towards the scene's."""
_BAND = 1 / 32
"""Default width of the band, as a fraction of the picture's longer side."""


@dataclasses.dataclass(frozen=True)
class Relight:
    """What may change of a product, and how far."""

    band: int | None = None
    """Pixels from the product's edge inwards; None for the default, which depends on the picture's size."""
    strength: float = STRENGTH
    """How far the colours at the edge go towards the scene's: 0.0 = not at all, 1.0 = entirely."""
    light: float = 0.0
    """How far the whole product takes on the scene's light, likewise."""


def read_relight(message: pb.RelightTask) -> Relight:
    """What a request says.

    Raises:
        InvalidRequestError: a value is out of range; the error names the field.
    """
    if message.HasField("band") and not 1 <= message.band <= MAX_BAND:
        text = f"relight.band is {message.band}; it must be 1 to {MAX_BAND} pixels."
        raise error(Reason.OUT_OF_RANGE, text, field="relight.band")
    return Relight(
        message.band if message.HasField("band") else None,
        _part(message, "strength", STRENGTH),
        _part(message, "light", 0.0),
    )


def _part(message: pb.RelightTask, name: Any, default: float) -> float:
    return within(f"relight.{name}", getattr(message, name) if message.HasField(name) else default, 0.0, 1.0)


def relit_canvas(picture: Bytes, mask: Bytes, source: MaskSource, relight: Relight) -> Canvas:
    """A picture [H, W, 3] whose product, marked by `mask` [H, W], may change in its band; everything else is known.

    Raises:
        InvalidRequestError: the mask marks no product, or everything.
    """
    check_product_marked(mask, "relight.mask")
    if (mask == 255).all():
        text = "relight.mask: the mask covers the whole picture; there is no scene whose colours it could take on."
        raise error(Reason.INVALID_MASK, text, field="relight.mask")
    height, width = mask.shape
    pixels = relight.band or min(MAX_BAND, math.ceil(_BAND * max(mask.shape)))
    band = (mask > 0) * np.uint8(255) if relight.light else border_band(mask, pixels)
    kept = Kept(Rect(0, 0, width, height), unscaled=True, mask_source=source)
    border = Border(picture, np.zeros_like(mask), band, mask, pixels, relight.strength, relight.light)
    return Canvas(picture, band, kept, scene=picture, border=border)
