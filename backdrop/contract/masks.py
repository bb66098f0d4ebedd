"""Masks of what is to be erased: how far they are widened, and what they must mark."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backdrop.contract.limits import MAX_GROW
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Bytes = npt.NDArray[np.uint8]
_GROW = 1 / 64
"""Of the picture's longer side: shadows and soft edges of what is erased lie just outside a tight mask."""


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


def widened(mask: Bytes, grow: int | None) -> Bytes:
    """The mask's maximum [H, W] over a square of 2 · grow + 1 pixels."""
    pixels = math.ceil(_GROW * max(mask.shape)) if grow is None else grow
    tall = np.pad(mask, ((pixels, pixels), (0, 0)))
    wide = np.pad(_running_maximum(tall, 0, pixels), ((0, 0), (pixels, pixels)))
    return _running_maximum(wide, 1, pixels)


def _running_maximum(padded: Bytes, axis: int, pixels: int) -> Bytes:
    """The maximum of 2 · pixels + 1 neighbours along an axis; so many values fewer along it."""
    # By doubling, in a time that hardly grows with the width: Pillow's MaxFilter takes minutes on large pictures.
    width, span = 1, 2 * pixels + 1
    values = np.moveaxis(padded, axis, 0)
    while width < span:
        step = min(width, span - width)
        values = np.maximum(values[:-step], values[step:])
        width += step
    return np.ascontiguousarray(np.moveaxis(values, 0, axis))


def check_erased(mask: Bytes, grow: int | None) -> None:
    """Raises InvalidRequestError for a mask that marks nothing, or everything once it is widened."""
    if not mask.any():
        message = "erase.mask: the mask marks nothing; 255 means erase, 0 keep."
        raise error(Reason.INVALID_MASK, message, field="erase.mask")
    if widened(mask, grow).all():
        message = "erase.mask: the widened mask covers the whole picture; nothing is left to fill it from."
        raise error(Reason.INVALID_MASK, message, field="erase.mask")
