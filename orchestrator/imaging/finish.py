"""Decoded scenes to pixels at the delivery size: rounded, cropped and enlarged."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backdrop.contract.arrays import array_of
from backdrop.contract.geometry import Rect, Size
from orchestrator.arrays import Bytes, Floats
from orchestrator.imaging.frame import Frame


def to_bytes(picture: Floats) -> Bytes:
    """[3, H, W] in −1…1 to [H, W, 3] in 0…255, rounded."""
    rounded: Bytes = np.rint((np.clip(picture, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def enlarge(scene: Bytes, frame: Frame) -> Bytes:
    """Crops the canvas out of a scene [H, W, 3] and resamples it (Lanczos) to the frame's size."""
    return resample(scene, frame.inset, frame.size)


def resample(picture: Bytes, part: Rect, size: Size) -> Bytes:
    """A part of a picture [H, W, 3 or 4], resampled (Lanczos) to another size."""
    box = (part.x, part.y, part.x + part.width, part.y + part.height)
    image = Image.fromarray(picture)
    return array_of(image.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box), image.mode)
