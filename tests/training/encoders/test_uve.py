"""UVE trains on all attributes and gives a unit vector and bits; retrieval precision counts what exists."""

from __future__ import annotations

import torch

from tests.training.conftest import TinyTraining
from training.config import Config
from training.data.retrieval import precision
from training.encoders import uve


def test_it_trains_and_embeds_any_size(training: TinyTraining) -> None:
    tiny = training.trained(uve)
    model = uve.load(tiny)
    for height, width in ((256, 256), (192, 256), (96, 64)):
        embedding, binary = model(torch.rand(2, 3, height, width) * 2 - 1)
        assert embedding.shape == binary.shape == (2, tiny.uve.dim)
        assert torch.allclose(embedding.norm(dim=1), torch.ones(2), atol=1e-4)
        assert set(binary.unique().tolist()) <= {0.0, 1.0}


def test_the_signs_pass_their_gradient_straight_through(tiny: Config) -> None:
    trainee = uve.Trainee(tiny)
    _, signs = trainee(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert torch.allclose(signs.norm(dim=1), torch.ones(2), atol=1e-5)
    (signs * torch.randn_like(signs)).sum().backward()
    gradient = trainee.uve.signs.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_the_contrast_is_least_where_groups_are_together() -> None:
    groups = torch.tensor([0, 0, 1, 1])
    apart = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    mixed = apart[torch.tensor([0, 2, 1, 3])]
    assert uve.contrast(apart, groups, 0.1) < uve.contrast(mixed, groups, 0.1)


def test_precision_counts_against_what_could_be_found() -> None:
    gallery, queries = torch.eye(4), torch.tensor([[1.0, 0.9, 0.0, 0.1], [0.0, 0.0, 1.0, 0.0]])
    scores = precision(queries, gallery, ["a", "b"], ["a", "b", "b", "c"], top=2)
    # The first finds its only "a" first; the second finds one "b" of two among the first two (ties by order).
    assert scores["hit"] == 1.0
    assert 0.5 <= scores["precision"] <= 1.0
    assert precision(queries[:1], gallery, ["a"], ["b", "a", "c", "c"], top=2) == {"precision": 0.0, "hit": 1.0}
