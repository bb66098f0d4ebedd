"""Masks: where they come from, and what is erased is widened as by a square's maximum, in little time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from backdrop.contract.canvas import MaskSource
from backdrop.contract.masks import Matte, check_marks, hole_canvas, read_mask, widened
from backdrop.contract.pictures import Photo
from backdrop.errors import InvalidRequestError, Reason
from tests.pictures import ellipse_mask, encoded, noisy_photo

ALPHA, MASK = ellipse_mask(40, 30, soft=True), ellipse_mask(40, 30)
OPAQUE, TRANSPARENT = Photo(noisy_photo(40, 30), None), Photo(noisy_photo(40, 30), ALPHA)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_widening_is_the_maximum_over_a_square(width: int, height: int, grow: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width))
    mask = np.where(noise > 200, noise, 0).astype(np.uint8)
    padded = Image.fromarray(np.pad(mask, grow))
    expected = np.array(padded.filter(ImageFilter.MaxFilter(2 * grow + 1)))[grow : grow + height, grow : grow + width]
    assert (widened(mask, grow) == expected).all()


def test_a_large_mask_keeps_its_size() -> None:
    mask = np.zeros((4000, 4000), np.uint8)
    mask[2000, 2000] = 255
    wide = widened(mask, 64)
    assert wide.shape == mask.shape
    assert (wide == 255).sum() == 129 * 129


def test_a_mask_must_mark_something_and_leave_something() -> None:
    spot = np.zeros((20, 20), np.uint8)
    spot[10, 10] = 255
    photo, full = noisy_photo(20, 20), np.full((20, 20), 255, np.uint8)
    check_marks(spot, "erase.mask")
    assert (hole_canvas(photo, spot, "erase.mask").make == spot).all()
    for refuse in (lambda: check_marks(0 * spot, "erase.mask"), lambda: hole_canvas(photo, full, "erase.mask")):
        with pytest.raises(InvalidRequestError) as caught:
            refuse()
        assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "erase.mask")


def read(data: bytes, photo: Photo, task: str = "background") -> Matte:
    return read_mask(data, photo, max_pixels=10**6, task=task, picture="product")


def test_a_sent_mask_comes_before_the_alpha_channel() -> None:
    matte = read(encoded(MASK), TRANSPARENT)
    assert matte.source is MaskSource.REQUEST
    assert np.array_equal(np.asarray(matte.values), MASK)


def test_without_a_mask_the_alpha_channel_is_it() -> None:
    matte = read(b"", TRANSPARENT)
    assert matte.source is MaskSource.ALPHA
    assert matte.values is ALPHA
    assert matte.warnings == ()


def test_without_either_the_segmenter_makes_it() -> None:
    matte = read(b"", OPAQUE)
    assert (matte.values, matte.source, matte.warnings) == (None, MaskSource.SEGMENTER, ())


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="30×40 and the picture 40×30") as caught:
        read(encoded(ellipse_mask(30, 40)), OPAQUE, "erase")
    assert (caught.value.reason, caught.value.field) == (Reason.INVALID_MASK, "erase.mask")
