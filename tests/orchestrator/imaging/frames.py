"""Frames of product photos, as the tests of this room need them."""

from __future__ import annotations

import numpy as np

from backdrop.contract.geometry import Fit, Rect, Size, bounding_box, place
from orchestrator.arrays import Bytes, Floats
from orchestrator.imaging.cutout import paste
from orchestrator.imaging.finish import composite, enlarge
from orchestrator.imaging.frame import Frame, Kept, MaskSource, frame_of

BUCKETS = (Size(256, 256), Size(256, 192), Size(192, 256))


def cutout_of(mask: Bytes) -> Rect:
    """The bounding box of a mask that is not empty."""
    box = bounding_box(mask)
    assert box is not None
    return box


def product_frame(photo: Bytes, mask: Bytes, size: Size | None = None, placement: Fit | None = None) -> Frame:
    """The frame of a product that is kept; without a size it stays where it is."""
    cutout = cutout_of(mask)
    size = size or Size(photo.shape[1], photo.shape[0])
    box = place(cutout, size, placement)
    known, alpha = paste(photo, mask, cutout, size, box)
    unscaled = (box.width, box.height) == (cutout.width, cutout.height)
    return frame_of(known, np.invert(alpha), Kept(box, unscaled, MaskSource.REQUEST), BUCKETS)


def noise_in(frame: Frame) -> Floats:
    """A decoded scene of noise in a frame's bucket: [3, H, W]."""
    shape = (3, frame.bucket.height, frame.bucket.width)
    return np.random.default_rng(5).normal(0, 0.7, shape).astype(np.float32)


def finished(frame: Frame) -> Bytes:
    """A picture of noise around what is known."""
    return composite(enlarge(noise_in(frame), frame), frame)
