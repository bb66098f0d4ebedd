"""Small pictures that tests send."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def noisy_photo(width: int, height: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """RGB noise [H, W, 3]: any pixel that is altered shows."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ellipse_mask(width: int, height: int, soft: bool = False) -> npt.NDArray[np.uint8]:
    """255 inside an ellipse in the middle third, 0 outside [H, W]; `soft` fades its edge over a few pixels."""
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2 + 0.5) / (width / 3), (y - height / 2 + 0.5) / (height / 3))
    if not soft:
        return np.where(radius <= 1, 255, 0).astype(np.uint8)
    faded: npt.NDArray[np.uint8] = np.clip((1 - radius) * min(width, height) / 12 * 255 + 128, 0, 255).astype(np.uint8)
    return faded


def encoded(array: npt.NDArray[np.uint8], kind: str = "PNG") -> bytes:
    """The array as a picture file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()
