"""Placement: inside the picture, ratio kept, aligned; and the bucket nearest to a canvas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backdrop.contract.geometry import Fit, Rect, Size, bounding_box, nearest_bucket, place

BUCKETS = [Size(256, 256), Size(256, 192), Size(192, 256)]
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
def test_no_bucket_has_a_nearer_aspect_ratio(size: Size) -> None:
    chosen = nearest_bucket(size, BUCKETS)
    off = [abs(np.log(each.width / each.height) - np.log(size.width / size.height)) for each in (chosen, *BUCKETS)]
    assert off[0] == pytest.approx(min(off))


def test_sizes_count_pixels_and_megapixels() -> None:
    assert (Size(2000, 500).pixels, Size(2000, 500).megapixels) == (1_000_000, 1.0)


@pytest.mark.parametrize(
    ("size", "bucket"), [((512, 512), (256, 256)), ((800, 600), (192, 256)), ((9, 16), (256, 192))]
)
def test_the_nearest_aspect_ratio_wins(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    chosen = nearest_bucket(Size(*size), BUCKETS)
    assert (chosen.height, chosen.width) == bucket
