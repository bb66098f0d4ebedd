"""Every stage that B owns takes two steps on a tiny config, leaves what the next one needs, and resumes."""

from __future__ import annotations

import numpy as np
import torch

from training import classifier, reward, segmenter, shards, text_encoders, tokenizer
from training.config import Config
from training.corruption import DEFECTS, DEGRADATIONS, add_defect, degrade
from training.data import draw


def test_text_encoders_train_and_read_as_sdxl(tiny: Config) -> None:
    text_encoders.train(tiny)
    towers = text_encoders.load(tiny)
    ids = text_encoders.tokens(tokenizer.load(tiny), ["a beach", ""], tiny.text.max_length)
    states, pooled = text_encoders.encode(towers, ids)
    assert states.shape == (2, 77, tiny.text.cross_attention_dim)
    assert pooled.shape == (2, tiny.text.projection)
    assert torch.isfinite(states).all()
    assert torch.isfinite(pooled).all()


def test_reward_trains_and_scores_within_bounds(tiny: Config) -> None:
    text_encoders.train(tiny)
    reward.train(tiny)
    scores = reward.load(tiny)(
        torch.zeros(2, 3, 64, 96), torch.ones(2, 1, 64, 96), torch.zeros(2, tiny.text.projection)
    )
    assert scores.shape == (2, 3)
    assert (scores >= 0).all()
    assert (scores <= 1).all()


def test_segmenter_trains_and_gives_an_alpha(tiny: Config) -> None:
    segmenter.train(tiny)
    alpha = segmenter.load(tiny)(torch.zeros(1, 3, 192, 256))
    assert alpha.shape == (1, 1, 192, 256)
    assert (alpha >= 0).all()
    assert (alpha <= 1).all()


def test_classifier_writes_what_evaluation_reads(tiny: Config) -> None:
    classifier.train(tiny)
    model = classifier.load(tiny)
    assert 0 <= classifier.accuracy(model, shards.load(tiny, "held")) <= 1


def test_a_finished_stage_does_not_train_again(tiny: Config) -> None:
    segmenter.train(tiny)
    before = segmenter.load(tiny).state_dict()
    segmenter.train(tiny)
    assert all(torch.equal(value, before[name]) for name, value in segmenter.load(tiny).state_dict().items())


def test_damage_stays_in_range_and_changes_the_picture(tiny: Config) -> None:
    image, mask, _ = draw(shards.load(tiny, "scene"), np.random.default_rng(0), 1)
    for kind in DEFECTS:
        rng = np.random.default_rng(5)
        assert not torch.equal(add_defect(kind, image, mask, rng), image), kind
    for kind in DEGRADATIONS:
        made = degrade(kind, image, 0.7, np.random.default_rng(5))
        assert made.shape == image.shape, kind
        assert (made - image).abs().mean() > 0.005, kind
        assert made.abs().max() <= 1.3, kind
