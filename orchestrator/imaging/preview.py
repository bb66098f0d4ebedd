"""Previews: predicted clean latents projected to colours, with the known pixels on top and no call of the VAE."""

from __future__ import annotations

import numpy as np
from PIL import Image

from backdrop.contract.finishing import encode
from backdrop.contract.parts import OutputFormat
from orchestrator.arrays import Floats
from orchestrator.imaging.view import ModelView


def preview(predicted_clean: Floats, view: ModelView, factors: Floats, bias: Floats, factor: int) -> bytes:
    """A JPEG of predicted clean latents [C, h, w], projected linearly to RGB, with sides four times the latents'.

    `factors` [C, 3] and `bias` [3] map to 0…1; `factor` is the VAE's, in pixels for each latent along a side.
    """
    channels, h, w = predicted_clean.shape
    rgb = predicted_clean.reshape(channels, -1).T @ factors + bias
    small = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8).reshape(h, w, 3))
    scene = np.asarray(small.resize((w * 4, h * 4), Image.Resampling.BICUBIC), np.float32)
    cell = factor // 4 if factor >= 4 else 1
    known = _average(view.known, cell)
    mask = _average(view.mask, cell)
    known_255 = (known + (1.0 - mask)) * 127.5  # premultiplied −1…1 to premultiplied 0…255
    mixed = known_255.transpose(1, 2, 0) + scene * mask.transpose(1, 2, 0)
    return encode(np.rint(np.clip(mixed, 0, 255)).astype(np.uint8), OutputFormat.JPEG)


def _average(planes: Floats, cell: int) -> Floats:
    channels, height, width = planes.shape
    blocks = planes.reshape(channels, height // cell, cell, width // cell, cell)
    averaged: Floats = blocks.mean(axis=(2, 4), dtype=np.float32)
    return averaged
