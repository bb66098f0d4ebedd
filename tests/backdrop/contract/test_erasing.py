"""Erasing: the mask is widened by a little, and by more where shadows lie."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop.contract.erasing import hole_around, read_grow
from backdrop.contract.masks import widened
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb


def test_by_default_the_hole_reaches_farther_around_feet() -> None:
    mask = np.zeros((400, 640), np.uint8)
    mask[100:201, 100:140] = mask[200:301, 400:440] = 255
    hole = hole_around(mask) > 0
    for first, left in ((100, 100), (200, 400)):
        assert np.flatnonzero(hole[:, left + 20])[[0, -1]].tolist() == [first - 10, first + 100 + 46]
        assert np.flatnonzero(hole[first + 5, left - 60 : left + 100])[[0, -1]].tolist() == [50, 109], "top"
        assert np.flatnonzero(hole[first + 95, left - 60 : left + 100])[[0, -1]].tolist() == [14, 145], "foot"


def test_a_soft_edge_stays_soft() -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[30:34, 30:34] = 90
    assert set(np.unique(hole_around(mask)).tolist()) == {0, 90}


def test_what_is_asked_for_is_widened_by_it_alone() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[40:60, 40:60] = 255
    for grow in (0, 7):
        assert (hole_around(mask, grow) == widened(mask, grow)).all()


def test_something_of_the_picture_is_kept_if_it_can_be() -> None:
    mask = np.full((128, 128), 255, np.uint8)
    mask[:4] = 0
    assert (hole_around(mask) == widened(mask, 2)).all()
    assert hole_around(np.full((8, 8), 255, np.uint8)).all()


def test_grow_has_a_bound() -> None:
    assert read_grow(pb.EraseTask()) is None
    assert read_grow(pb.EraseTask(grow=64)) == 64
    with pytest.raises(InvalidRequestError) as caught:
        read_grow(pb.EraseTask(grow=65))
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "erase.grow")
