"""Damage stays in range, changes the picture, and counts only if it is visible."""

from __future__ import annotations

import numpy as np
import torch

from training.config import Config
from training.data import shards
from training.data.corruption import DEFECTS, DEGRADATIONS, add_defect, damage, degrade, visible
from training.data.pictures import draw_batch


def test_damage_stays_in_range_and_changes_the_picture(tiny: Config) -> None:
    image, mask, _ = draw_batch(shards.load(tiny, "scene"), np.random.default_rng(0), 1)
    for kind in DEFECTS:
        damaged = add_defect(kind, image, mask, np.random.default_rng(5))
        assert damaged.shape == image.shape, kind
        assert damaged.abs().max() <= 1.001, kind
        assert not torch.equal(damaged, image), kind
    for kind in DEGRADATIONS:
        damaged = degrade(kind, image, 0.7, np.random.default_rng(5))
        assert damaged.shape == image.shape, kind
        assert (damaged - image).abs().mean() > 0.005, kind
        assert damaged.abs().max() <= 1.3, kind


def test_what_counts_as_damage_can_be_seen(tiny: Config) -> None:
    image, mask, _ = draw_batch(shards.load(tiny, "scene"), np.random.default_rng(2), 4)
    for n in range(4):
        for seed in range(5):
            damaged = damage(image[n : n + 1], mask[n : n + 1], np.random.default_rng(seed))
            assert damaged is None or visible(damaged.image, image[n : n + 1])


def test_a_picture_where_nothing_can_show_is_not_damaged() -> None:
    # One flat tone without a product: there is no border to have a seam, and nothing to appear twice.
    flat, mask = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    assert not visible(add_defect("seam", flat, mask, np.random.default_rng(0)), flat)
    assert not visible(add_defect("ghost", flat, mask, np.random.default_rng(0)), flat)
