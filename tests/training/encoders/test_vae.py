"""What the autoencoder's latents are pulled to: colours of blocks, then their detail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.config import Config, Vae
from training.core import networks
from training.data.pictures import pictures_to_tensor
from training.encoders.vae import FAINTEST, Guide, encoded_means, level
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


def test_levelled_channels_decode_to_the_same_picture(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    widths = (8, 16, 32, 32)
    vae = networks.vae(Config(vae=Vae(encoder_channels=widths, decoder_channels=widths, groups=4))).eval()
    with torch.no_grad():
        # One channel is much fainter than the others.
        vae.quant_conv.weight[1] *= 0.02
        posterior = vae.encode(images[:4]).latent_dist
        before = vae.decode(posterior.mean, image=images[:4], mask=torch.ones(4, 1, 64, 64)).sample
        spread = encoded_means(vae, images).std((0, 2, 3))
        level(vae, images)
        levelled = vae.encode(images[:4]).latent_dist
        after = vae.decode(levelled.mean, image=images[:4], mask=torch.ones(4, 1, 64, 64)).sample
        now = encoded_means(vae, images).std((0, 2, 3))
    assert torch.allclose(before, after, atol=1e-4)
    assert now.max() == pytest.approx(float(spread.max()), rel=1e-3)
    assert now.min() / now.max() == pytest.approx(float((spread.min() / spread.max()).sqrt()), rel=1e-2)
    # The noise of the posterior grows with its channel.
    assert torch.allclose(
        levelled.std / posterior.std, (now / spread)[None, :, None, None].expand_as(posterior.std), rtol=1e-2
    )
