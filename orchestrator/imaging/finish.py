"""Decoded scenes to finished pictures: enlarged, the known pixels composited back, encoded."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backdrop.contract.parts import OutputFormat
from orchestrator.arrays import Bytes, Floats
from orchestrator.imaging.frame import Frame

# zlib level 6 halves the time of Pillow's "optimize" for a few per cent of size; JPEG and WebP as the contract says.
_SAVE_OPTIONS: dict[OutputFormat, dict[str, object]] = {
    OutputFormat.PNG: {"compress_level": 6},
    OutputFormat.JPEG: {"quality": 92, "subsampling": 0},
    OutputFormat.WEBP: {"quality": 90, "method": 4},
}


def to_bytes(picture: Floats) -> Bytes:
    """[3, H, W] in −1…1 to [H, W, 3] in 0…255, rounded."""
    rounded: Bytes = np.rint((np.clip(picture, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return rounded.transpose(1, 2, 0)


def enlarge(decoded: Floats, frame: Frame) -> Bytes:
    """Crops the canvas out of a decoded bucket [3, H, W] and resamples it (Lanczos) to the frame's size: [H, W, 3]."""
    inset, size = frame.inset, frame.size
    box = (inset.x, inset.y, inset.x + inset.width, inset.y + inset.height)
    image = Image.fromarray(np.ascontiguousarray(to_bytes(decoded)))
    return np.array(image.resize((size.width, size.height), Image.Resampling.LANCZOS, box=box))


def composite(scene: Bytes, frame: Frame) -> Bytes:
    """Puts the known pixels over a scene [H, W, 3]; at soft edges alpha × known + (1 − alpha) × scene.

    In integers: (a·k + (255 − a)·s + 127) ÷ 255 gives exactly k at a = 255 and exactly s at a = 0.
    """
    alpha = 255 - frame.make[..., None].astype(np.uint16)
    mixed = (alpha * frame.known + (255 - alpha) * scene + 127) // 255
    return mixed.astype(np.uint8)


def encode(picture: Bytes, output_format: OutputFormat) -> bytes:
    """Encodes [H, W, 3]; a fresh image, so nothing of the input's metadata can leave with it."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, output_format.value, **_SAVE_OPTIONS[output_format])
    return buffer.getvalue()
