"""Cut-outs: copied bit for bit where they keep their size, and never mixed with what is around them."""

from __future__ import annotations

import numpy as np

from backdrop.contract.cutouts import paste, resize_cutout
from backdrop.contract.geometry import Rect, Size
from tests.pictures import ellipse_mask, noisy_photo


def test_colours_outside_the_mask_do_not_bleed_into_a_resized_product() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[...] = (255, 0, 0, 0)  # red, but outside the mask
    rgba[10:30, 10:30] = (0, 0, 255, 255)
    small = resize_cutout(rgba, Size(13, 13))
    assert small[..., 0][small[..., 3] > 0].max() == 0


def test_a_cutout_of_the_same_size_is_copied() -> None:
    photo, mask = noisy_photo(50, 40), ellipse_mask(50, 40, soft=True)
    known, alpha = paste(photo, mask, Rect(10, 5, 30, 25), Size(64, 70), Rect(20, 40, 30, 25))
    assert (known.shape, alpha.shape) == ((70, 64, 3), (70, 64))
    assert (known[40:65, 20:50] == photo[5:30, 10:40]).all()
    assert (alpha[40:65, 20:50] == mask[5:30, 10:40]).all()
    alpha[40:65, 20:50] = 0
    known[40:65, 20:50] = 0
    assert not alpha.any()
    assert not known.any()


def test_a_resized_cutout_fills_its_box_and_nothing_else() -> None:
    photo, mask = noisy_photo(50, 40), np.full((40, 50), 255, np.uint8)
    _, alpha = paste(photo, mask, Rect(0, 0, 50, 40), Size(100, 100), Rect(10, 20, 75, 60))
    assert (alpha[20:80, 10:85] == 255).all()
    assert alpha.sum() == 255 * 75 * 60
