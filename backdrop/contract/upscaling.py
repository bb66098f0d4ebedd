"""Upscaling a picture: by which factor, how large it becomes, and what happens to its alpha channel."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from PIL import Image

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, blank
from backdrop.contract.geometry import Size
from backdrop.contract.limits import MAX_PICTURE_SIDE
from backdrop.contract.parts import OutputFormat
from backdrop.contract.pictures import Photo, alpha_warnings
from backdrop.contract.request_warnings import RequestWarning
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

FACTORS = (2, 4)
"""The first is the default."""
_OUTLINE = 8
"""Pixels around an outline whose hidden colours follow the visible ones; no upscaler's edge of alpha is wider."""


def read_factor(message: pb.UpscaleTask) -> int:
    """By which factor a picture is enlarged.

    Raises:
        InvalidRequestError: the factor is not offered.
    """
    factor = message.factor or FACTORS[0]
    if factor not in FACTORS:
        offered = " or ".join(map(str, FACTORS))
        text = f"upscale.factor is {factor}; it must be {offered}."
        raise error(Reason.OUT_OF_RANGE, text, field="upscale.factor")
    return factor


def upscaled_size(factor: int, picture: Size, max_pixels: int) -> Size:
    """The size of the larger picture, by the size of the sent one.

    Raises:
        InvalidRequestError: it is too large.
    """
    size = Size(factor * picture.width, factor * picture.height)
    if max(size.width, size.height) > MAX_PICTURE_SIDE or size.pixels > max_pixels:
        text = (
            f"upscale: the picture becomes {size.width}×{size.height}; at most {MAX_PICTURE_SIDE} pixels a side and"
            f" {max_pixels / 1e6:g} megapixels are allowed. Set a smaller upscale.factor, or send a smaller picture."
        )
        raise error(Reason.INVALID_SIZE, text, field="upscale.factor")
    return size


def with_alpha(photo: Photo, output_format: OutputFormat, field: str) -> tuple[Bytes, tuple[RequestWarning, ...]]:
    """A picture with its alpha channel [H, W, 4], or [H, W, 3] where it has none or the result cannot have one."""
    if photo.alpha is None or output_format is OutputFormat.JPEG:
        return photo.rgb, alpha_warnings(photo, field)
    return np.dstack([_spread(photo.rgb, photo.alpha), photo.alpha]), ()


def _spread(rgb: Bytes, alpha: Bytes) -> Bytes:
    """The colours [H, W, 3], continued into what is invisible near an outline: there a file may hold any colour.

    Else that colour would bleed into the outline, when colours and alpha are enlarged apart from each other.
    """
    weight = alpha.astype(np.float32)
    total = np.maximum(_blurred(weight), 1e-3)
    spread = rgb.copy()
    hidden = alpha == 0
    for channel in range(3):
        mean = _blurred(rgb[..., channel] * weight) / total
        spread[..., channel][hidden] = np.rint(mean[hidden].clip(0, 255))
    return spread


def _blurred(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A plane [H, W] blurred beyond an outline's width: by windows of twice that width, so that no gap is left."""
    height, width = plane.shape
    small = Image.fromarray(plane).resize((-(-width // _OUTLINE), -(-height // _OUTLINE)), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


def upscaled_canvas(picture: Bytes, factor: int) -> Canvas:
    """The picture [H, W, 3 or 4] as the scene of a canvas that is `factor` times as large, with nothing known."""
    height, width = picture.shape[:2]
    return dataclasses.replace(blank(Size(factor * width, factor * height)), scene=picture)
