"""What the autoencoder's latents are pulled to: colours of blocks, then their detail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.pictures import pictures_to_tensor
from training.encoders.vae import FAINTEST, Guide
from training.world.picture import render


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return pictures_to_tensor(np.stack([render(seed, 64).image for seed in range(24)]))


def test_the_first_channels_are_the_colours_of_blocks(images: torch.Tensor) -> None:
    target = Guide(images, 16)(images)
    assert target.shape == (24, 16, 8, 8)
    flat = images.mean((2, 3), keepdim=True).expand_as(images)
    assert torch.allclose(Guide(images, 16)(flat)[:, 3:], torch.zeros(1), atol=1e-4)
    assert torch.equal(Guide(images, 4)(images)[:, :3], target[:, :3])


def test_detail_falls_in_spread_and_keeps_a_least_one(images: torch.Tensor) -> None:
    spread = Guide(images, 16)(images)[:, 3:].pow(2).mean((0, 2, 3)).sqrt()
    assert (spread[:-1] >= spread[1:] - 1e-3).all()
    assert spread[0] == pytest.approx(1.0, abs=0.01)
    assert spread[-1] >= FAINTEST - 0.01


def test_components_of_detail_do_not_repeat_each_other(images: torch.Tensor) -> None:
    detail = Guide(images, 16)(images)[:, 3:].movedim(1, -1).flatten(0, -2)
    shared = torch.corrcoef(detail.T) - torch.eye(13)
    assert shared.abs().max() < 0.02
