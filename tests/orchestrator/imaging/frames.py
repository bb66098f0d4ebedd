"""Frames of product photos, as the tests of this room need them."""

from __future__ import annotations

import numpy as np

from backdrop.contract.canvas import MaskSource
from backdrop.contract.finishing import composite
from backdrop.contract.geometry import Fit, Size
from backdrop.contract.products import FIRST, Product, place_products
from orchestrator.arrays import Bytes
from orchestrator.imaging.finish import enlarge, to_bytes
from orchestrator.imaging.frame import Frame, frame_of

BUCKETS = (Size(256, 256), Size(256, 192), Size(192, 256))


def product_frame(photo: Bytes, mask: Bytes, size: Size | None = None, placement: Fit | None = None) -> Frame:
    """The frame of a product that is kept; without a size it stays where it is."""
    size = size or Size(photo.shape[1], photo.shape[0])
    return frame_of(place_products([Product(FIRST, photo, mask, MaskSource.REQUEST)], (placement,), size), BUCKETS)


def noise_in(frame: Frame) -> Bytes:
    """A scene of noise in a frame's bucket: [H, W, 3]."""
    shape = (3, frame.tiling.scene.height, frame.tiling.scene.width)
    return to_bytes(np.random.default_rng(5).normal(0, 0.7, shape).astype(np.float32))


def finished(frame: Frame) -> Bytes:
    """A picture of noise around what is known."""
    return composite(enlarge(noise_in(frame), frame), frame)
