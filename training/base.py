"""Stage 0: the base text-to-image denoiser, an SDXL-style UNet of four channels under full captions."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training import diffusion, loop, networks, samples, workers
from training.config import Config

STAGE = "base"


def predict(unet: UNet2DConditionModel, sample: Tensor, timestep: Tensor, text: samples.Text, ids: Tensor) -> Tensor:
    """The network's prediction under captions alone."""
    conditions = {"text_embeds": text.pooled, "time_ids": ids}
    sample = sample.contiguous(memory_format=torch.channels_last)
    return torch.as_tensor(unet(sample, timestep, text.states, added_cond_kwargs=conditions).sample)


def train(config: Config) -> None:
    """Trains the base; small pictures first."""
    share = workers.join()
    torch.manual_seed(config.seed)
    unet = networks.unet(config, in_channels=config.vae.latent_channels)
    unet.to(loop.device(), memory_format=torch.channels_last).train()
    loop.plain_attention(unet)
    source = samples.Source(config, STAGE, config.diffusion.base, share.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.plain(draw)
        noisy = diffusion.diffuse(config, sample.latent, alpha_bar, torch.Generator().manual_seed(draw))
        with loop.half_precision():
            made = predict(unet, noisy.sample, noisy.timestep, sample.text, sample.time_ids)
        error = ((made.float() - noisy.target) ** 2).mean(dim=(1, 2, 3))
        return (error * noisy.weight).mean(), {"v": error.mean().item()}

    trained = diffusion.Trained(unet, list(unet.parameters()))
    diffusion.fit(config, STAGE, config.diffusion.base, trained, loss_of, share)


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights of the latest checkpoint."""
    unet = networks.unet(config, in_channels=config.vae.latent_channels)
    loop.load_average(config, STAGE, unet)
    return unet


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
