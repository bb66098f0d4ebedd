"""The segmenter trains without the unseen products, gives an alpha of any size, and writes its scores."""

from __future__ import annotations

import json

import torch

from tests.training.conftest import TinyTraining
from training.config import Config
from training.data import shards
from training.judges import segmenter
from training.world.labels import UNSEEN_PRODUCTS


def test_it_trains_and_gives_an_alpha(training: TinyTraining) -> None:
    tiny = training.trained(segmenter)
    alpha = segmenter.load(tiny)(torch.zeros(1, 3, 192, 256))
    assert alpha.shape == (1, 1, 192, 256)
    assert (alpha >= 0).all()
    assert (alpha <= 1).all()
    scores = json.loads((tiny.paths.work / "segmenter" / "scores.json").read_text())
    assert all(0 <= scores[name] <= 1 for name in ("scenes", "photos"))


def test_unseen_products_are_left_out_of_training(tiny: Config) -> None:
    pictures = shards.load(tiny, "scene")
    products = {pictures.rows[int(n)]["product"] for n in segmenter.training_indices(pictures)}
    assert products
    assert not products & set(UNSEEN_PRODUCTS)


def test_the_loss_is_least_for_the_truth() -> None:
    real = torch.zeros(1, 1, 32, 32)
    real[..., 8:24, 8:24] = 1
    right, shifted, empty = 20 * real - 10, 20 * real.roll(2, 3) - 10, torch.full_like(real, -10.0)
    losses = [float(segmenter.alpha_loss(logits, real)) for logits in (right, shifted, empty)]
    assert losses == sorted(losses)
    assert losses[0] < 0.01
