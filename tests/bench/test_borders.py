"""Borders: what the marks compare is the same for both sides, and a paste that fits has no difference."""

from __future__ import annotations

import numpy as np
import pytest

from bench.borders import DAMAGE, edge_difference, error, grown, pairs, shrunk
from tests.pictures import ellipse_mask


def test_a_perfect_cut_out_has_nearly_no_error_and_a_damaged_one_has() -> None:
    pair = next(pairs(1))
    perfect = error(pair, pair.product_mask, None)
    assert perfect < 0.1
    for bad in (grown(pair.product_mask, DAMAGE), shrunk(pair.product_mask, DAMAGE)):
        assert error(pair, bad, None) > 3 * perfect


def test_the_difference_at_an_edge_is_that_of_both_sides() -> None:
    mask = ellipse_mask(60, 50)
    plain = np.full((50, 60, 3), 90, np.uint8)
    assert edge_difference(plain, mask) == pytest.approx(0, abs=1e-3)
    black_on_white = np.where(mask[..., None] == 255, np.uint8(0), np.uint8(255)).repeat(3, axis=2)
    assert edge_difference(black_on_white, mask) == pytest.approx(100, abs=0.1)
