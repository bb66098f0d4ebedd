"""The reward model trains on pairs that differ in the damage alone, and its scores are within bounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.conftest import TinyTraining
from training.config import REWARD_HEADS, Config
from training.data import shards
from training.data.attributes import NOT_VISIBLE
from training.data.pairs import EARLY_LOOK, GHOST_LOOK, LATE_LOOK, UNJUDGED, Pairs
from training.encoded.reconstructions import reconstructions
from training.encoders import text_encoders, vae
from training.judges import reward


def test_it_trains_and_scores_within_bounds(training: TinyTraining) -> None:
    tiny = training.trained(text_encoders, vae, reward)
    model = reward.load(tiny)
    scores = model(torch.zeros(2, 3, 64, 96), torch.ones(2, 1, 64, 96), torch.zeros(2, tiny.text.projection))
    assert scores.shape == (2, 3)
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    areas = reward.held_out_auc(tiny, model, reward.embedder(tiny), rounds=2)
    assert set(areas) == set(REWARD_HEADS)


def test_reconstructions_keep_the_product_exactly(training: TinyTraining) -> None:
    tiny = training.trained(text_encoders, vae, reward)
    held = shards.load(tiny, "held")
    reconstructed = reconstructions(tiny, held, "held", 4)
    images, masks = held.at(np.arange(4))
    assert np.array_equal(reconstructed[masks == 255], images[masks == 255])
    assert not np.array_equal(reconstructed[masks == 0], images[masks == 0])


def test_a_pair_differs_in_nothing_but_the_damage(tiny: Config) -> None:
    batch = Pairs(shards.load(tiny, "scene"), None).batch(np.random.default_rng(3), 6)
    good, bad = batch.intact.chunk(2)
    assert set(good.tolist()) <= {1.0, UNJUDGED}
    assert set(bad.tolist()) <= {0.0, UNJUDGED}
    better, worse = batch.looks.chunk(2)
    assert (worse <= better).all()
    torch.testing.assert_close(worse[worse < better], torch.full_like(worse[worse < better], GHOST_LOOK))
    assert torch.equal(*batch.mask.chunk(2))
    assert batch.fits.shape == (12, 6)
    whole, damaged = batch.places.chunk(2)
    assert set(whole.unique().tolist()) <= {0.0, UNJUDGED}
    told = bad == 0
    assert (damaged[told].amax((1, 2, 3)) == 1).all()
    assert (damaged[~told] == UNJUDGED).all()
    assert torch.equal(batch.fits[:6].diagonal(), torch.ones(6))


def test_pictures_of_checkpoints_teach_looks_alone(tiny: Config) -> None:
    scene = shards.load(tiny, "scene")
    images, _ = scene.at(np.arange(len(scene)))
    sides = np.stack([255 - images, images])
    pairs, rng = Pairs(scene, None, sides), np.random.default_rng(3)
    seen = 0
    for _ in range(8):
        batch = pairs.batch(rng, 6)
        good, bad = batch.image.chunk(2)
        for row, (look, worse) in enumerate(zip(*batch.looks.chunk(2), strict=True)):
            if look != pytest.approx(LATE_LOOK) or worse != pytest.approx(EARLY_LOOK):
                continue
            seen += 1
            torch.testing.assert_close(bad[row], -good[row])
            assert (batch.intact.view(2, -1)[:, row] == UNJUDGED).all()
            assert (batch.fits[[row, row + 6]] == UNJUDGED).all()
            assert (batch.attributes[[row, row + 6]] == NOT_VISIBLE).all()
    assert seen > 3


def test_the_area_counts_ties_by_half() -> None:
    assert reward.auc(torch.tensor([2.0, 3.0]), torch.tensor([1.0])) == 1.0
    assert reward.auc(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5
    assert reward.auc(torch.tensor([0.0, 2.0]), torch.tensor([1.0])) == 0.5
