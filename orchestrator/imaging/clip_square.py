"""CLIP's own preprocessing of a picture, up to its mean and deviation, which the encoder's graph takes off."""

from __future__ import annotations

import numpy as np
from PIL import Image

from orchestrator.arrays import Bytes

LONGEST = 4
"""Sides of a picture, as longer ÷ shorter, that are resampled whole."""


def clip_square(rgb: Bytes, resize: int, crop: int) -> Bytes:
    """Resamples [H, W, 3] (bicubic) until its shorter side has `resize` pixels; the middle [crop, crop, 3].

    transformers' `CLIPImageProcessor`, on which published IP-Adapters rely: the longer side is rounded down, and so is
    the crop's offset.
    """
    # Resampled whole, a picture of 1 × 8192 pixels would grow to 411 megapixels, of which the middle is kept.
    shorter = min(rgb.shape[:2])
    rgb = _middle(rgb, min(rgb.shape[0], LONGEST * shorter), min(rgb.shape[1], LONGEST * shorter))
    height, width = rgb.shape[:2]
    scaled = (int(resize * width / shorter), int(resize * height / shorter))
    return _middle(np.asarray(Image.fromarray(rgb).resize(scaled, Image.Resampling.BICUBIC)), crop, crop)


def _middle(rgb: Bytes, height: int, width: int) -> Bytes:
    top, left = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return np.ascontiguousarray(rgb[top : top + height, left : left + width])
