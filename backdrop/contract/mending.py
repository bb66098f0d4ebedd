"""Mends cut-outs that took a few pixels too much or too little, where a photo's colours say what is product.

Near the mask's edge, each pixel is compared with colours from certain product and from certain background around it
(sampling-based matting, as Gastal & Oliveira 2010): what it is nearer to, it is. Where both are equally near, nothing
is sure, and the mask stays as it was sent.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backdrop.contract.arrays import Bytes, Region, tiles_around
from backdrop.contract.masks import widened

Values = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
_ANGLES = 16
"""Directions in which colours are looked for."""
_GRAIN = 8.0
"""Distance of two colours, in 8-bit steps, below which noise decides."""
_SURE = 0.15
"""From which difference of the two distances, as a part of the larger one, a pixel is sure."""
_CHANGED = 0.5
"""A mask changes where it is wrong by as much: the sent values of a good soft edge stay."""
_EDGE = 0.4, 0.6
"""Opacities between these, after smoothing, are the new soft edge."""


def mended(picture: Bytes, mask: Bytes, width: int) -> Bytes:
    """The mask [H, W] of a product in a photo [H, W, 3], corrected up to `width` pixels from its edge."""
    inside = widened(np.invert(mask), width) == 0
    outside = widened(mask, width) == 0
    result = mask.copy()
    offsets = _offsets(width)
    reach = max(abs(part) for offset in offsets for part in offset) + 1
    for square, around, inner in tiles_around(mask.shape, reach):
        uncertain = ~(inside[square] | outside[square])
        if not uncertain.any():
            continue
        # One more pixel on every side is judged, for the smoothing of the square's own.
        rows, columns = (slice(max(0, part.start - 1), part.stop + 1) for part in inner)
        opacity, sure = _judged(picture[around], inside[around], outside[around], (rows, columns), offsets)
        opacity, sure, sent = _smoothed(opacity, sure)[inner], sure[inner], mask[square] / np.float32(255)
        changed = uncertain & (sure >= _SURE) & (np.abs(opacity - sent) >= _CHANGED)
        result[square] = np.where(changed, np.rint(255 * opacity), mask[square])
    return result


def _offsets(width: int) -> list[tuple[int, int]]:
    """Where colours are looked for around a pixel, in rows and columns: on rings beyond the uncertain pixels."""
    places = set()
    for turn, radius in enumerate((width + 1, width + 3, 2 * width, 2 * width + 3, 3 * width, 4 * width)):
        for index in range(_ANGLES):
            angle = 2 * math.pi * (index + turn % 2 / 2) / _ANGLES
            places.add((round(radius * math.sin(angle)), round(radius * math.cos(angle))))
    return sorted(places)


def _judged(
    picture: Bytes, inside: Flags, outside: Flags, part: Region, offsets: list[tuple[int, int]]
) -> tuple[Values, Values]:
    """The opacity [H, W] by colour in 0…1, and how sure it is, in `part`; certain pixels are 0 or 1, and sure."""
    y, x = np.nonzero(~(inside[part] | outside[part]))
    y, x = y + part[0].start, x + part[1].start
    own = picture[y, x].astype(np.float32)
    height, width = inside.shape
    nearest = np.full((2, len(y)), np.inf, np.float32)
    for down, right in offsets:
        at = np.clip(y + down, 0, height - 1), np.clip(x + right, 0, width - 1)
        distance = np.square(picture[at] - own).sum(axis=1)
        for side, certain in enumerate((inside, outside)):
            nearest[side] = np.where(certain[at], np.minimum(nearest[side], distance), nearest[side])
    opacity, sure = inside.astype(np.float32), np.ones(inside.shape, np.float32)
    compared = np.isfinite(nearest).all(axis=0)
    product, scene = np.sqrt(np.where(compared, nearest, 0))
    opacity[y, x] = np.square(scene + _GRAIN / 2) / (np.square(product + _GRAIN / 2) + np.square(scene + _GRAIN / 2))
    sure[y, x] = np.abs(product - scene) / (np.maximum(product, scene) + _GRAIN)
    return opacity, sure


def _smoothed(opacity: Values, sure: Values) -> Values:
    """The mean of each pixel's neighbourhood of 3 × 3, by how sure each is, and steeper."""
    padded, weight = np.pad(opacity * sure, 1, "edge"), np.pad(sure, 1, "edge")
    height, width = opacity.shape
    total, weights = np.zeros_like(opacity), np.zeros_like(opacity)
    for down in range(3):
        for right in range(3):
            near = np.s_[down : down + height, right : right + width]
            total += padded[near]
            weights += weight[near]
    mean = total / np.maximum(weights, np.float32(1e-6))
    low, high = _EDGE
    return np.asarray(np.clip((mean - low) / (high - low), 0, 1), np.float32)
