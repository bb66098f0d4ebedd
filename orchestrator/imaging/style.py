"""Style pictures as the image encoders see them: upright, square, of one size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from orchestrator.domain import Bytes, Floats
from orchestrator.imaging.decode import Photo

SIDE = 256
# Neither light nor dark: what is transparent should say as little as possible about the look.
_GREY = 128


def style_pixels(photo: Photo) -> Bytes:
    """The middle square of a picture, resampled (Lanczos) to [256, 256, 3]; transparent parts lie over mid grey."""
    rgb = photo.rgb
    if photo.alpha is not None:
        alpha = photo.alpha[..., None].astype(np.uint16)
        rgb = ((alpha * rgb + (255 - alpha) * _GREY + 127) // 255).astype(np.uint8)
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(rgb[top : top + side, left : left + side])
    return np.array(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def to_model(pixels: Bytes) -> Floats:
    """[S, S, 3] in 0…255 to float32 [3, S, S] in −1…1."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0)
