"""Enlargement: decoded scenes become bytes at the canvas's size, without what the scene shows beyond it."""

from __future__ import annotations

import numpy as np

from backdrop.contract.canvas import blank
from backdrop.contract.geometry import Size
from orchestrator.imaging.finish import enlarge, to_bytes
from orchestrator.imaging.frame import frame_of
from tests.orchestrator.imaging.frames import BUCKETS


def test_bytes_are_rounded_and_clipped() -> None:
    picture = np.array([-2.0, -1.0, -0.9999, 0.0, 0.0039, 1.0, 3.0], np.float32).reshape(1, 1, -1).repeat(3, 0)
    assert to_bytes(picture)[0, :, 0].tolist() == [0, 0, 0, 128, 128, 255, 255]
    assert to_bytes(picture).shape == (1, 7, 3)


def test_what_the_scene_shows_beyond_the_canvas_is_cropped_off() -> None:
    frame = frame_of(blank(Size(144, 256)), BUCKETS)
    assert (frame.tiling.scene, frame.inset.width) == (Size(192, 256), 144)
    scene = np.zeros((256, 192, 3), np.uint8)
    scene[:, frame.inset.x : frame.inset.x + frame.inset.width] = 255
    assert (enlarge(scene, frame) == 255).all()
    assert enlarge(scene, frame).shape == (256, 144, 3)
