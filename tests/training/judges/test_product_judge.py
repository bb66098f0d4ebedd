"""The judge of products: its cut-outs, what it is trained on, and its published weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.training.conftest import TinyTraining
from training.config import Config
from training.core import loop
from training.judges import product_judge
from training.judges.product_judge import KINDS, NONE, SIDE, Square, cut, square_around


def test_a_square_is_around_what_the_mask_marks() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    assert square_around(mask, 0.0) == Square(5, 30, 20)
    wider = square_around(mask, 0.5)
    assert wider == Square(0, 25, 30)
    with pytest.raises(ValueError, match="marks nothing"):
        square_around(np.zeros((8, 8), bool), 0.1)


def test_a_cut_out_shows_the_square_and_continues_the_border() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[16:48, 16:48] = 255
    inside = cut(image, Square(16, 16, 32))
    assert inside.shape == (3, SIDE, SIDE)
    assert (inside == 1).all()
    image[:, 63] = 255
    beyond = cut(image, Square(0, 64, 32))
    assert (beyond == 1).all()


def test_training_cut_outs_name_kinds_and_empty_places(tiny: Config) -> None:
    image, kinds, colours = product_judge.Cutouts(tiny).batch(np.random.default_rng(0), 60)
    assert image.shape == (60, 3, SIDE, SIDE)
    empty = kinds == KINDS.index(NONE)
    assert 1 <= int(empty.sum()) <= 25
    assert (colours[empty] < 0).all()
    assert (colours[~empty] >= 0).all()


def test_it_writes_what_the_bench_reads(training: TinyTraining) -> None:
    tiny = training.trained(product_judge)
    trained = product_judge.ProductJudge(tiny.small.classifier_channels)
    trained = loop.load_average(tiny, product_judge.STAGE, trained)
    model, cutouts = product_judge.load(tiny), torch.rand(3, 3, SIDE, SIDE) * 2 - 1
    for one, other in zip(model(cutouts), trained(cutouts), strict=True):
        assert torch.allclose(one, other, atol=0.02)
    assert set(product_judge.kinds_of(model, list(cutouts))) <= set(KINDS)
    assert product_judge.kinds_of(model, []) == []
    record = json.loads((tiny.paths.product_judge / "config.json").read_text())
    assert 0 <= record["held_out_accuracy"] <= 1
