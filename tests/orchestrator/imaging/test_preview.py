"""Previews: the projected latents in colour, the known pixels on top, four pixels a latent."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from orchestrator.arrays import Bytes, Floats
from orchestrator.imaging.preview import preview
from orchestrator.imaging.view import ModelView, view_of
from tests.orchestrator.imaging.frames import product_frame
from tests.pictures import ellipse_mask

BLUE = np.array([0.0, 0.0, 1.0], np.float32)


def red_product() -> ModelView:
    photo = np.zeros((256, 256, 3), np.uint8)
    photo[...] = (250, 10, 10)
    return view_of(product_frame(photo, ellipse_mask(256, 256)), 8)


def shown(latents: Floats, factors: Floats, bias: Floats = BLUE) -> Bytes:
    jpeg = preview(latents, red_product(), factors, bias, 8)
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return np.asarray(image)


def test_a_preview_shows_the_product_in_its_scene() -> None:
    seen = shown(np.zeros((4, 32, 32), np.float32), np.zeros((4, 3), np.float32))
    assert seen.shape == (128, 128, 3)
    assert abs(seen[64, 64].astype(int) - [250, 10, 10]).max() < 16
    assert abs(seen[2, 2].astype(int) - [0, 0, 255]).max() < 16


def test_latents_become_colours_by_the_factors() -> None:
    latents = np.zeros((4, 32, 32), np.float32)
    latents[2, :8] = 0.5
    factors = np.zeros((4, 3), np.float32)
    factors[2, 1] = 2.0
    seen = shown(latents, factors)
    assert abs(seen[4, 4].astype(int) - [0, 255, 255]).max() < 16
    assert abs(seen[120, 4].astype(int) - [0, 0, 255]).max() < 16
