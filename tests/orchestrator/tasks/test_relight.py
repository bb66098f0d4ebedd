"""Relight: the frame knows the whole picture, except the product's band."""

from __future__ import annotations

import numpy as np

from backdrop.contract.geometry import Size
from backdrop.contract.relighting import Relight
from orchestrator.tasks.relight import RELIGHT, frame
from orchestrator.tasks.task import TaskInput
from tests.pictures import ellipse_mask, noisy_photo


def test_the_frame_keeps_all_but_the_band() -> None:
    photo, mask = noisy_photo(64, 64), ellipse_mask(64, 64)
    relit = frame(TaskInput(Relight(band=4), (Size(64, 64),), picture=photo, mask=mask))
    assert relit.scene is photo
    assert relit.border is not None
    assert np.array_equal(relit.make, relit.border.band)
    assert not relit.make[mask == 0].any()
    assert 0 < np.count_nonzero(relit.make) < np.count_nonzero(mask)
    assert not RELIGHT.rules.sampled


def test_light_may_change_the_whole_product() -> None:
    photo, mask = noisy_photo(64, 64), ellipse_mask(64, 64)
    relit = frame(TaskInput(Relight(light=0.5), (Size(64, 64),), picture=photo, mask=mask))
    assert np.array_equal(relit.make, mask)
