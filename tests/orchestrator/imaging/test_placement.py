"""Placement: inside the picture, ratio kept, aligned; and the canvas in its bucket."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import Fit, Rect, Size
from orchestrator.imaging.placement import bounding_box, choose_scene, place

BUCKETS = [(256, 256), (192, 256), (256, 192)]
sides = st.integers(1, 4000)
sizes = st.builds(Size, st.integers(64, 4096), st.integers(64, 4096))
fractions = st.floats(0, 1)


def test_bounding_box_is_tight() -> None:
    mask = np.zeros((10, 12), np.uint8)
    assert bounding_box(mask) is None
    mask[3:6, 4:11] = 1
    assert bounding_box(mask) == Rect(4, 3, 7, 3)


def test_without_placement_the_product_stays() -> None:
    assert place(Rect(5, 6, 7, 8), Size(100, 100), None) == Rect(5, 6, 7, 8)


def test_fit_keeps_the_padding_and_aligns() -> None:
    product = Rect(0, 0, 100, 50)
    assert place(product, Size(400, 400), Fit(0.1)) == Rect(40, 120, 320, 160)
    assert place(product, Size(400, 400), Fit(0.1, vertical=1.0)) == Rect(40, 200, 320, 160)
    assert place(product, Size(800, 400), Fit(0.0, horizontal=0.0)) == Rect(0, 0, 800, 400)


def test_a_box_holds_the_product_in_its_middle() -> None:
    assert place(Rect(0, 0, 10, 10), Size(300, 300), Rect(100, 50, 60, 20)) == Rect(120, 50, 20, 20)


@given(width=sides, height=sides, size=sizes, padding=st.floats(0, 0.45), h=fractions, v=fractions)
def test_the_product_always_lies_inside(
    width: int, height: int, size: Size, padding: float, h: float, v: float
) -> None:
    box = place(Rect(0, 0, width, height), size, Fit(padding, h, v))
    assert box.x >= 0
    assert box.y >= 0
    assert box.x + box.width <= size.width
    assert box.y + box.height <= size.height
    # The ratio is kept to within the pixel that rounding takes.
    room = Size(
        *(max(1, side - 2 * round(padding * min(size.width, size.height))) for side in (size.width, size.height))
    )
    scale = min(room.width / width, room.height / height)
    assert abs(box.width - width * scale) <= 1
    assert abs(box.height - height * scale) <= 1


@given(size=sizes)
def test_the_canvas_lies_inside_its_bucket_undistorted(size: Size) -> None:
    scene = choose_scene(size, BUCKETS)
    inner = scene.canvas
    assert inner.x >= 0
    assert inner.y >= 0
    assert inner.x + inner.width <= scene.bucket.width
    assert inner.y + inner.height <= scene.bucket.height
    scale = min(scene.bucket.width / size.width, scene.bucket.height / size.height)
    assert abs(inner.width - size.width * scale) <= 1
    assert abs(inner.height - size.height * scale) <= 1


@pytest.mark.parametrize(
    ("size", "bucket"), [((512, 512), (256, 256)), ((800, 600), (192, 256)), ((9, 16), (256, 192))]
)
def test_the_nearest_aspect_ratio_wins(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    chosen = choose_scene(Size(*size), BUCKETS).bucket
    assert (chosen.height, chosen.width) == bucket
