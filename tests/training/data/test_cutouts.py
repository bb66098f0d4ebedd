"""Pasted products: clean colours on the border, complete, with their alpha."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.config import Config
from training.data import shards
from training.data.cutouts import Paster, cut_out, empty_scenes, place
from training.data.invented_products import invented_product
from training.judges.segmenter import training_indices


def disc(size: int = 64, radius: float = 16.0) -> torch.Tensor:
    """A soft-edged disc, [1, 1, size, size]."""
    rows, columns = torch.meshgrid(torch.arange(size) - size / 2, torch.arange(size) - size / 2, indexing="ij")
    return (radius - torch.sqrt(rows**2 + columns**2) + 0.5).clamp(0, 1)[None, None]


def test_a_cut_out_has_nothing_of_the_old_background() -> None:
    alpha, red, blue = disc(), torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.0, 0.0, 1.0])
    picture = red[None, :, None, None] * alpha + blue[None, :, None, None] * (1 - alpha)
    product = cut_out(picture, alpha)
    colours = product[:, :3] / product[:, 3:].clamp(min=1e-6)
    soft = (product[0, 3] > 0.1) & (product[0, 3] < 0.9)
    assert soft.any()
    assert (colours[0, :, soft] - red[:, None]).abs().max() < 0.02


@pytest.mark.parametrize("resample", [False, True])
def test_a_placed_product_stays_whole(resample: bool) -> None:
    alpha = disc()
    product = torch.cat([alpha * 0.5, alpha * 0.5, alpha * 0.5, alpha], dim=1)
    for seed in range(20):
        moved = place(product, np.random.default_rng(seed), resample)
        assert moved.shape == product.shape
        assert (moved[:, :3] <= moved[:, 3:] * 0.5 + 1e-5).all()
        if not resample:
            assert torch.isclose(moved[:, 3].sum(), alpha.sum())


def test_invented_products_are_visible_and_inside_the_picture() -> None:
    for seed in range(12):
        product = invented_product(np.random.default_rng(seed), 96)
        assert product.shape == (4, 96, 96)
        assert product.min() >= 0
        assert product.max() <= 1
        assert 0.01 < product[3].mean() < 0.8, seed


def test_the_paster_makes_pictures_with_their_alpha(tiny: Config) -> None:
    sources = (shards.load(tiny, "scene"), shards.load(tiny, "photo"))
    paster = Paster(empty_scenes(tiny, 2), sources, (training_indices(sources[0]), training_indices(sources[1])))
    image, alpha = paster.batch(np.random.default_rng(1), 4)
    assert image.shape == (4, 3, 256, 256)
    assert alpha.shape == (4, 1, 256, 256)
    assert image.abs().max() <= 1
    assert (alpha.mean((1, 2, 3)) > 0.003).all()
    again, _ = paster.batch(np.random.default_rng(1), 4)
    assert torch.equal(image, again)
