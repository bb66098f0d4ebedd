"""Erasing: by how much the mask of what is erased is widened, so that shadows and soft edges go too."""

from __future__ import annotations

import math

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.limits import MAX_GROW
from backdrop.contract.masks import widened
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_NEAR, _BELOW = 1 / 64, 5 / 64
"""By how much a mask is widened by default, as fractions of the picture's longer side: on every side, since soft edges
lie just outside a tight mask, and around feet, where shadows lie."""
_FOOT = 0.4
"""The lowest part of what is marked that counts as its foot."""


def read_grow(message: pb.EraseTask) -> int | None:
    """By how many pixels the mask is widened; None for the default.

    Raises:
        InvalidRequestError: more than the contract allows.
    """
    if not message.HasField("grow"):
        return None
    if message.grow > MAX_GROW:
        text = f"erase.grow is {message.grow}; it must be 0 to {MAX_GROW} pixels."
        raise error(Reason.OUT_OF_RANGE, text, field="erase.grow")
    return message.grow


def hole_around(mask: Bytes, grow: int | None = None) -> Bytes:
    """The hole [H, W] that is left where a mask [H, W] marks what is erased.

    A shadow that stays tells a denoiser that something stands there, and it makes something. So by default the hole
    reaches farther around the feet of what is marked, unless it would then be the whole picture.
    """
    if grow is not None:
        return widened(mask, grow)
    longer = max(mask.shape)
    near = widened(mask, math.ceil(_NEAR * longer))
    hole = np.maximum(near, _rounded(_feet(mask), math.ceil(_BELOW * longer)))
    return near if hole.all() else hole


def _rounded(mask: Bytes, pixels: int) -> Bytes:
    """The mask's maximum over a disc of that radius, as three rectangles: a square's corners would be seen."""
    most = mask
    for angle in (math.pi / 8, math.pi / 4, 3 * math.pi / 8):
        reach = widened(mask, round(pixels * math.sin(angle)), round(pixels * math.cos(angle)))
        most = np.maximum(most, reach)
    return most


def _feet(mask: Bytes) -> Bytes:
    """The lowest part of each thing that a mask marks; things are told apart by columns in which nothing is marked."""
    feet = np.zeros_like(mask)
    columns = np.diff(mask.any(axis=0).astype(np.int8), prepend=0, append=0)
    for start, stop in zip(np.flatnonzero(columns == 1), np.flatnonzero(columns == -1), strict=True):
        rows = np.flatnonzero(mask[:, start:stop].any(axis=1))
        first = rows[-1] - int(_FOOT * (rows[-1] - rows[0]))
        feet[first:, start:stop] = mask[first:, start:stop]
    return feet
