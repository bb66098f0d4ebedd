"""Denoisers that start from smaller ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import UNet2DConditionModel

from training.config import Config, Denoiser, Text, Transformer, Vae
from training.core import diffusion, networks
from training.denoisers.growth import grown, grown_transformer

TINY = Config(
    vae=Vae(latent_channels=4),
    denoiser=Denoiser(channels=(8, 16, 16), heads=(1, 1, 2), layers=(1, 1, 1), groups=4, time_embedding=4),
    text=Text(hidden_l=8, hidden_g=8, projection=8),
    transformer=Transformer(layers=1, heads=1, head_width=8),
)
WIDER = replace(TINY, vae=Vae(latent_channels=16))


def run(unet: UNet2DConditionModel, planes: torch.Tensor) -> torch.Tensor:
    """Its prediction for fixed texts, in evaluation mode."""
    torch.manual_seed(1)
    extra = {"text_embeds": torch.randn(2, 8), "time_ids": diffusion.time_ids(64, 64, 2)}
    with torch.no_grad():
        return torch.as_tensor(unet.eval()(planes, 500, torch.randn(2, 5, 16), added_cond_kwargs=extra).sample)


@pytest.mark.parametrize("layers", [(2, 1, 1), (1, 3, 2)])
def test_more_blocks_compute_the_same(layers: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    small = networks.unet(TINY)
    large = grown(replace(TINY, denoiser=replace(TINY.denoiser, layers=layers)), small)
    planes = torch.randn(2, 9, 16, 16)
    assert len(large.state_dict()) > len(small.state_dict())
    assert torch.allclose(run(large, planes), run(small, planes), atol=1e-5)
    assert run(small, planes).std() > 0.01


def test_more_latent_channels_keep_colours_and_mask() -> None:
    torch.manual_seed(0)
    small = networks.unet(TINY)
    large = grown(WIDER, small)
    assert (large.config["in_channels"], large.config["out_channels"]) == (33, 16)
    old, new = small.conv_in.weight, large.conv_in.weight
    for there, here, count in ((0, 0, 3), (16, 4, 1), (17, 5, 3)):
        assert torch.equal(new[:, there : there + count], old[:, here : here + count])
    assert torch.equal(large.conv_out.weight[:3], small.conv_out.weight[:3])
    assert 0 < large.conv_out.weight[3:].std() < 0.05


def test_a_transformer_keeps_colours_and_mask() -> None:
    torch.manual_seed(0)
    small = networks.transformer(TINY)
    large = grown_transformer(WIDER, small)
    old, new = small.pos_embed.proj.weight, large.pos_embed.proj.weight
    assert torch.equal(new[:, 16], old[:, 4])
    for patch in range(4):
        assert torch.equal(large.proj_out.weight[16 * patch :][:3], small.proj_out.weight[4 * patch :][:3])
        assert torch.equal(large.proj_out.bias[16 * patch :][:3], small.proj_out.bias[4 * patch :][:3])
    same = grown_transformer(TINY, small).state_dict()
    assert all(torch.equal(same[name], value) for name, value in small.state_dict().items())


def test_a_network_of_another_width_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no such tensor"):
        grown(replace(TINY, denoiser=replace(TINY.denoiser, channels=(8, 16, 32))), networks.unet(TINY))
