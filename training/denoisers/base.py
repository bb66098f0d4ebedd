"""The base: a text-to-image denoiser, an SDXL-style UNet with four input channels, trained with full captions."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, networks, workers
from training.encoded import samples

STAGE = "base"


def predict(
    unet: UNet2DConditionModel, planes: Tensor, timestep: Tensor, states: Any, sample: samples.Sample
) -> Tensor:
    """The prediction for input planes [B, C, h, w]; `states` are text states or the inputs of image attention."""
    embeddings = {"text_embeds": sample.text.pooled, "time_ids": sample.time_ids}
    planes = planes.contiguous(memory_format=loop.layout())
    return torch.as_tensor(unet(planes, timestep, states, added_cond_kwargs=embeddings).sample)


def train(config: Config) -> None:
    """Trains the base, on small pictures first."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet = networks.unet(config, in_channels=config.vae.latent_channels)
    unet.to(loop.device(), memory_format=loop.layout()).train()
    loop.plain_attention(unet)
    source = samples.Source(config, STAGE, config.diffusion.base, worker.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.text_to_image(draw)

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return predict(unet, noisy, timestep, sample.text.states, sample)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    trainable = diffusion.Trainable(unet, list(unet.parameters()))
    diffusion.fit(config, STAGE, config.diffusion.base, trainable, loss_of, worker)


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.unet(config, in_channels=config.vae.latent_channels))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
