"""Mending: masks are corrected where colours are sure, up to the width, and stay elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backdrop.contract import arrays
from backdrop.contract.arrays import Bytes
from backdrop.contract.mending import mended
from tests.pictures import ellipse_mask, noisy_photo

WIDTH, HEIGHT, SOFT = 96, 80, 4
TRUE = ellipse_mask(WIDTH, HEIGHT)
GRAIN = noisy_photo(WIDTH, HEIGHT) // 16
PHOTO = (np.where(TRUE[..., None] == 255, [40, 90, 160], [210, 170, 120]) + GRAIN).astype(np.uint8)


def damaged(pixels: int) -> Bytes:
    kind = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
    return np.asarray(Image.fromarray(TRUE).filter(kind(2 * abs(pixels) + 1)))


def wrong(mask: Bytes) -> float:
    return float(np.abs(mask.astype(int) - TRUE).mean())


@pytest.mark.parametrize("pixels", [3, 1, -1, -3])
def test_what_was_cut_wrong_is_mended(pixels: int) -> None:
    bad = damaged(pixels)
    assert wrong(mended(PHOTO, bad, SOFT)) < 0.1 * wrong(bad)


def test_what_is_further_away_stays() -> None:
    bad = damaged(-3)
    changed = mended(PHOTO, bad, 2) != bad
    near = np.asarray(Image.fromarray(bad).filter(ImageFilter.MaxFilter(5)))
    assert not changed[near == 0].any()
    assert wrong(mended(PHOTO, bad, 2)) > 0.3 * wrong(bad)


def test_a_good_mask_and_its_soft_edge_stay() -> None:
    assert np.array_equal(mended(PHOTO, TRUE, SOFT), TRUE)
    soft = np.asarray(Image.fromarray(TRUE).filter(ImageFilter.BoxBlur(1)))
    mixed = np.rint(soft[..., None] / 255 * [40, 90, 160] + (1 - soft[..., None] / 255) * [210, 170, 120])
    assert np.array_equal(mended(mixed.astype(np.uint8), soft, SOFT), soft)


def test_colours_that_say_nothing_change_nothing() -> None:
    plain = np.full_like(PHOTO, 128)
    for pixels in (3, -3):
        assert np.array_equal(mended(plain, damaged(pixels), SOFT), damaged(pixels))


def test_a_product_too_thin_to_have_an_inside_stays() -> None:
    mask = np.zeros_like(TRUE)
    mask[20:60, 40:44] = 255
    assert np.array_equal(mended(PHOTO, mask, SOFT), mask)


def test_tiles_make_what_the_whole_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mended(PHOTO, damaged(3), SOFT)
    monkeypatch.setattr(arrays, "_TILE", 17)
    assert np.array_equal(mended(PHOTO, damaged(3), SOFT), whole)
