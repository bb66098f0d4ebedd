"""Masks: where each comes from, what it must mark, and how far the mask of what is erased is widened."""

from __future__ import annotations

import math

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.limits import MAX_GROW
from backdrop.contract.pictures import Photo, decode_mask
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_GROW = 1 / 64
"""Default, as a fraction of the picture's longer side: shadows and soft edges lie just outside a tight mask."""


def read_mask(data: bytes, photo: Photo, *, max_pixels: int, field: str) -> tuple[Bytes | None, MaskSource]:
    """The mask that was sent, else the picture's alpha channel, else None: then the segmenter makes it.

    Raises:
        InvalidRequestError: the sent mask is no picture, too large, or not of the picture's size; `field` is named.
    """
    if not data:
        return photo.alpha, MaskSource.SEGMENTER if photo.alpha is None else MaskSource.ALPHA
    mask = decode_mask(data, max_pixels=max_pixels, field=field)
    check_mask_size(Size(mask.shape[1], mask.shape[0]), photo.size, field)
    return mask, MaskSource.REQUEST


def check_mask_size(mask: Size, picture: Size, field: str) -> None:
    """Raises InvalidRequestError for a mask that has not the picture's size."""
    if mask != picture:
        sizes = f"{mask.width}×{mask.height} and the picture {picture.width}×{picture.height}"
        raise error(Reason.INVALID_MASK, f"{field} is {sizes}; both must have the same size.", field=field)


def check_segmentable(mask: Bytes | None, pipeline: info_pb.Pipeline, field: str) -> None:
    """Raises InvalidRequestError when there is no mask and the pipeline has no segmenter that makes one."""
    if mask is None and not pipeline.has_segmenter:
        message = (
            f"pipeline {pipeline.name} has no segmenter; send {field}, or a picture with an alpha channel that shows "
            f"what is kept."
        )
        raise error(Reason.MISSING_FIELD, message, field=field)


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
    """The maximum of 2 · pixels + 1 neighbours along an axis, which becomes 2 · pixels shorter."""
    # Doubling takes log2(span) passes; Pillow's MaxFilter takes minutes on large pictures.
    width, span = 1, 2 * pixels + 1
    values = np.moveaxis(padded, axis, 0)
    while width < span:
        step = min(width, span - width)
        values = np.maximum(values[:-step], values[step:])
        width += step
    return np.ascontiguousarray(np.moveaxis(values, 0, axis))


def check_marks(mask: Bytes, field: str) -> None:
    """Raises InvalidRequestError for a mask that marks nothing."""
    if not mask.any():
        message = f"{field}: the mask marks nothing; 255 means make new pixels, 0 keep."
        raise error(Reason.INVALID_MASK, message, field=field)


def hole_canvas(picture: Bytes, hole: Bytes, field: str) -> Canvas:
    """The whole picture [H, W, 3] is known, except in the hole [H, W].

    Raises:
        InvalidRequestError: the hole, which came from `field`, covers the whole picture.
    """
    if hole.all():
        message = f"{field}: nothing of the picture is kept; mark less of it."
        raise error(Reason.INVALID_MASK, message, field=field)
    height, width = hole.shape
    kept = Kept(Rect(0, 0, width, height), unscaled=True, mask_source=MaskSource.REQUEST)
    return Canvas(picture, hole, kept)
