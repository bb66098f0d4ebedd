"""Cut-outs: a part of a picture with a soft outline, put on a canvas and resampled without colour from outside."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backdrop.contract.arrays import Bytes, array_of
from backdrop.contract.geometry import Rect, Size


def paste(picture: Bytes, alpha: Bytes, cutout: Rect, size: Size, box: Rect) -> tuple[Bytes, Bytes]:
    """Puts the cut-out of `picture` [H, W, 3] and `alpha` [H, W] at `box` of a black canvas: its colours and alpha.

    A cut-out that keeps its size is copied, bit for bit. Otherwise it is resampled.
    """
    rows, columns = slice(cutout.y, cutout.y + cutout.height), slice(cutout.x, cutout.x + cutout.width)
    rgb_canvas = np.zeros((size.height, size.width, 3), np.uint8)
    alpha_canvas = np.zeros((size.height, size.width), np.uint8)
    target = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    if (box.width, box.height) == (cutout.width, cutout.height):
        rgb_canvas[target] = picture[rows, columns]
        alpha_canvas[target] = alpha[rows, columns]
    else:
        rgba = np.dstack([picture[rows, columns], alpha[rows, columns]])
        rgba = resize_cutout(rgba, Size(box.width, box.height))
        rgb_canvas[target] = rgba[..., :3]
        alpha_canvas[target] = rgba[..., 3]
    return rgb_canvas, alpha_canvas


def resize_cutout(rgba: Bytes, size: Size) -> Bytes:
    """Resamples straight-alpha RGBA [H, W, 4] with Lanczos; Pillow premultiplies and divides again by itself."""
    return array_of(Image.fromarray(rgba).resize((size.width, size.height), Image.Resampling.LANCZOS), "RGBA")
