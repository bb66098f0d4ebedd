"""What is made in a hole meets the colours around it; what is known and what is texture stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backdrop.contract import arrays
from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import MaskSource
from backdrop.contract.continuation import continued
from backdrop.contract.expansion import Extent, Margins, expanded_canvas
from backdrop.contract.finishing import composite, finished
from backdrop.contract.masks import hole_canvas
from tests.pictures import ellipse_mask, noisy_photo


def smooth(height: int, width: int) -> Bytes:
    """A picture that changes slowly, from 60 to 180."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [60 + 120 * rows / height, 60 + 120 * columns / width, 180 - 120 * rows / height]
    return np.rint(np.stack(planes, axis=-1)).astype(np.uint8)


def hole(height: int, width: int) -> Bytes:
    make = np.zeros((height, width), np.uint8)
    make[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = 255
    return make


@pytest.mark.parametrize(("height", "width"), [(96, 128), (700, 1000)])
def test_colours_that_are_off_everywhere_become_right(height: int, width: int) -> None:
    known, make = smooth(height, width), hole(height, width)
    off = np.array([25, -20, 10])
    scene = (known + off).astype(np.uint8)
    moved = continued(scene, known, make)
    inside = make == 255
    assert np.abs(moved[inside].astype(int) - known[inside]).max() <= 6
    assert np.abs(moved[inside].astype(int) - known[inside]).mean() < 2
    assert np.array_equal(moved[~inside], scene[~inside])
    assert np.array_equal(scene, (known + off).astype(np.uint8)), "the scene itself is not touched"


def test_texture_stays() -> None:
    known, make = smooth(120, 120), hole(120, 120)
    grain = np.random.default_rng(1).integers(-20, 21, known.shape)
    scene = (known + 15 + grain).astype(np.uint8)
    moved = continued(scene, known, make)[make == 255].astype(int)
    expected = (known + grain)[make == 255]
    assert np.abs(moved - expected).mean() < 3
    assert np.corrcoef((moved - known[make == 255]).ravel(), grain[make == 255].ravel())[0, 1] > 0.95


def test_shapes_that_meet_the_border_go_on_for_a_few_pixels() -> None:
    known = np.repeat(np.where(np.arange(128) // 8 % 2, 90, 150).astype(np.uint8), 128).reshape(128, 128)
    known, make = np.stack([known] * 3, axis=-1), np.zeros((128, 128), np.uint8)
    make[:, 64:] = 255
    scene = np.full_like(known, 120)
    off = np.abs(continued(scene, known, make).astype(int) - known)[..., 0].mean(axis=0)
    assert off[64] < 30 / 3, "no line at the border"
    assert off[64] < off[67] < off[70]
    assert off[80] > 29, "nothing is known of what is further in"


def test_one_side_of_a_border_that_is_off_is_moved_alone() -> None:
    known, make = np.full((128, 128, 3), 100, np.uint8), hole(128, 128)
    scene = known.copy()
    scene[:, 64:] = 140
    moved = continued(scene, known, make)
    assert abs(int(moved[64, 34, 0]) - 100) < 8, "the left was right"
    assert abs(int(moved[64, 93, 0]) - 100) < 8, "the right is moved"


def test_a_shadow_beside_the_hole_is_not_spread_over_it() -> None:
    known, make = smooth(128, 128), hole(128, 128)
    scene = known.copy()
    known[86:100, 40:88] //= 2  # below the hole, along half of its side
    moved = continued(scene, known, make).astype(int)
    middle = np.s_[56:66, 54:74]
    assert np.abs(moved[middle] - scene[middle]).max() <= 8
    assert moved[84, 64].mean() < scene[84, 64].mean() - 20, "it meets the shadow"


@given(seed=st.integers(0, 50), height=st.integers(1, 70), width=st.integers(1, 70), soft=st.booleans())
@settings(max_examples=60, deadline=None)
def test_known_pixels_are_exact_for_every_size_and_mask(seed: int, height: int, width: int, soft: bool) -> None:
    known, scene = noisy_photo(width, height, seed), noisy_photo(width, height, seed + 1)
    make = ellipse_mask(width, height, soft)
    if make.all():
        make[0, 0] = 0
    picture = finished(scene, hole_canvas(known, make, "fill.mask"))
    assert picture.shape == known.shape
    assert picture.dtype == np.uint8
    assert np.array_equal(picture[make == 0], known[make == 0])


def test_where_nothing_is_known_or_made_nothing_moves() -> None:
    scene, known = noisy_photo(40, 30), noisy_photo(40, 30, 2)
    assert continued(scene, known, np.full((30, 40), 255, np.uint8)) is scene
    assert continued(scene, known, np.zeros((30, 40), np.uint8)) is scene


def test_large_pictures_are_moved_strip_by_strip_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    known, make = smooth(600, 900), hole(600, 900)
    scene = (known.astype(int) + 30 - np.mgrid[0:600, 0:900][1][..., None] // 20).clip(0, 255).astype(np.uint8)
    whole = continued(scene, known, make)
    monkeypatch.setattr(arrays, "_STRIP_PIXELS", 900 * 7)
    assert np.array_equal(continued(scene, known, make), whole)


def test_an_expanded_picture_is_continued_in_its_colours() -> None:
    picture = smooth(64, 64)
    canvas = expanded_canvas(picture, Extent(margins=Margins(0, 0, 64, 0)))
    assert canvas.kept is not None
    assert canvas.kept.mask_source is MaskSource.REQUEST
    scene = np.full((64, 128, 3), 40, np.uint8)
    picture_made = finished(scene, canvas)
    plain = composite(scene, canvas)
    step = np.abs(picture_made[:, 64].astype(int) - picture_made[:, 63]).mean()
    assert step < np.abs(plain[:, 64].astype(int) - plain[:, 63]).mean() / 3
