"""Cut-outs: a part of a picture with a soft outline, put on a canvas and resampled without colour from outside."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, array_of, strips
from backdrop.contract.geometry import Rect, Size


def paste(picture: Bytes, alpha: Bytes, cutout: Rect, size: Size, box: Rect) -> tuple[Bytes, Bytes]:
    """Puts the cut-out of `picture` [H, W, 3] and `alpha` [H, W] at `box` of a black canvas: its colours and alpha.

    A cut-out that keeps its size is copied, bit for bit. Otherwise it is resampled.
    """
    known, known_alpha = np.zeros((size.height, size.width, 3), np.uint8), np.zeros((size.height, size.width), np.uint8)
    target = region(box)
    known[target], known_alpha[target] = cut(picture, alpha, cutout, box)
    return known, known_alpha


def cut(picture: Bytes, alpha: Bytes, cutout: Rect, box: Rect) -> tuple[Bytes, Bytes]:
    """The cut-out's colours [h, w, 3] and alpha [h, w] at the size of `box`; views where that is its own size."""
    rows, columns = region(cutout)
    if (box.width, box.height) == (cutout.width, cutout.height):
        return picture[rows, columns], alpha[rows, columns]
    rgba = np.dstack([picture[rows, columns], alpha[rows, columns]])
    rgba = resize_cutout(rgba, Size(box.width, box.height))
    return rgba[..., :3], rgba[..., 3]


def region(box: Rect) -> tuple[slice, slice]:
    """Rows and columns of a rectangle."""
    return slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)


def lay_over(known: Bytes, alpha: Bytes, box: Rect, over: Bytes, over_alpha: Bytes) -> None:
    """Lays a cut-out's colours [h, w, 3] and alpha [h, w] at `box` over what a canvas [H, W] knows, in place.

    Porter & Duff 1984, "over" on straight alpha, in integers: a pixel that is opaque in one layer and transparent in
    those before it keeps its colour exactly.
    """
    target = region(box)
    known, alpha = known[target], alpha[target]
    for rows in strips(*over_alpha.shape):
        top = over_alpha[rows].astype(np.uint32)
        below = alpha[rows].astype(np.uint32) * (255 - top)
        above = top * 255
        total = above + below
        mixed = above[..., None] * over[rows] + below[..., None] * known[rows] + (total // 2)[..., None]
        known[rows] = mixed // np.maximum(total, 1)[..., None]
        alpha[rows] = (total + 127) // 255


def cover(picture: Bytes, size: Size) -> Bytes:
    """The middle of a picture [H, W, 3], resampled (Lanczos) so that it covers a canvas: [height, width, 3]."""
    height, width = picture.shape[:2]
    scale = max(size.width / width, size.height / height)
    across, down = size.width / scale, size.height / scale
    left, top = (width - across) / 2, (height - down) / 2
    if (height, width) == (size.height, size.width):
        return picture
    part = (left, top, left + across, top + down)
    return array_of(
        Image.fromarray(picture).resize((size.width, size.height), Image.Resampling.LANCZOS, box=part), "RGB"
    )


def resize_cutout(rgba: Bytes, size: Size) -> Bytes:
    """Resamples straight-alpha RGBA [H, W, 4] with Lanczos; Pillow premultiplies and divides again by itself."""
    return array_of(Image.fromarray(rgba).resize((size.width, size.height), Image.Resampling.LANCZOS), "RGBA")
