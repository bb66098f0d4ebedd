"""The array type of pictures and masks, and work on large ones in strips, which saves copies of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

Bytes = npt.NDArray[np.uint8]
"""8-bit pictures [H, W, 3] and masks [H, W], as callers send and receive them."""
_STRIP_PIXELS = 1 << 19
_TILE = 256
Region = tuple[slice, slice]
"""Rows and columns of an array."""


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of a picture, in slices of about half a megapixel."""
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def tiles_around(shape: tuple[int, ...], reach: int) -> Iterator[tuple[Region, Region, Region]]:
    """A mask of a shape in squares of 256 pixels, for work that looks `reach` pixels around each pixel.

    Yields:
        The square, the same with `reach` pixels more on every side, and where the square lies in that.
    """
    height, width = shape
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            square = slice(top, min(height, top + _TILE)), slice(left, min(width, left + _TILE))
            around = (
                slice(max(0, square[0].start - reach), min(height, square[0].stop + reach)),
                slice(max(0, square[1].start - reach), min(width, square[1].stop + reach)),
            )
            rows, columns = (
                slice(part.start - wide.start, part.stop - wide.start)
                for part, wide in zip(square, around, strict=True)
            )
            yield square, around, (rows, columns)


def array_of(image: Image.Image, mode: str) -> Bytes:
    """An image in a mode of 8-bit channels as an array [H, W] or [H, W, channels] of its own."""
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (image.height, image.width) if channels == 1 else (image.height, image.width, channels)
    array = np.empty(shape, np.uint8)
    for rows in strips(image.height, image.width):
        array[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert(mode))
    return array


def blend(alpha: Bytes, over: Bytes, under: Bytes | int) -> Bytes:
    """`over` [H, W, 3] on `under` (an array like it, or one grey), by `alpha` [H, W]: a new array.

    In integers: (a·o + (255 − a)·u + 127) ÷ 255 gives exactly o at a = 255 and exactly u at a = 0.
    """
    mixed = np.empty_like(over)
    for rows in strips(*alpha.shape):
        weight = alpha[rows, :, None].astype(np.uint16)
        below = under if isinstance(under, int) else under[rows]
        mixed[rows] = (weight * over[rows] + (255 - weight) * below + 127) // 255
    return mixed
