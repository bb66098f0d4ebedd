"""The frame: how a canvas lies in its bucket."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from backdrop.contract.canvas import Canvas
from backdrop.contract.geometry import Rect, Size
from orchestrator.imaging.frame import Frame, frame_of
from tests.orchestrator.imaging.frames import BUCKETS

sizes = st.builds(Size, st.integers(64, 2048), st.integers(64, 2048))


def frame_in(size: Size) -> Frame:
    # Broadcast: a canvas of one byte, however large.
    make = np.broadcast_to(np.uint8(255), (size.height, size.width))
    return frame_of(Canvas(np.broadcast_to(np.uint8(0), (size.height, size.width, 3)), make, None), BUCKETS)


@settings(deadline=None)
@given(size=sizes)
def test_the_canvas_lies_inside_its_bucket_undistorted(size: Size) -> None:
    frame = frame_in(size)
    inset, bucket = frame.inset, frame.tiling.scene
    assert frame.size == size
    assert inset.x >= 0
    assert inset.y >= 0
    assert inset.x + inset.width <= bucket.width
    assert inset.y + inset.height <= bucket.height
    scale = min(bucket.width / size.width, bucket.height / size.height)
    assert abs(inset.width - size.width * scale) <= 1
    assert abs(inset.height - size.height * scale) <= 1
    # Centred, to within the pixel that rounding takes.
    assert 0 <= bucket.width - inset.width - 2 * inset.x <= 1
    assert 0 <= bucket.height - inset.height - 2 * inset.y <= 1


def test_a_canvas_of_a_buckets_shape_fills_it() -> None:
    assert frame_in(Size(512, 384)).inset == Rect(0, 0, 256, 192)
