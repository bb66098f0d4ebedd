"""Stage 2, products: low-rank updates on stage 1, trained with product masks and full captions.

They teach the denoiser not to continue the product into the background. They are the task adapter of backgrounds; the
other tasks do without (docs/decisions/0044-products-adapter.md).
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, lora, workers
from training.denoisers import inpaint
from training.encoded import samples

STAGE = "stage2"
"""Folder of the checkpoints and seed of the samples, as in weights that are already trained."""


def with_lora(config: Config, unet: UNet2DConditionModel) -> tuple[UNet2DConditionModel, list[torch.nn.Parameter]]:
    """Stage 1's network with untrained low-rank updates, and the parameters of the updates."""
    unet = unet.to(loop.device(), memory_format=torch.channels_last)
    loop.plain_attention(unet)
    return unet, lora.attach(unet, config.diffusion.lora_rank)


def train(config: Config) -> None:
    """Trains the updates."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet, parameters = with_lora(config, inpaint.load(config))
    unet.train()
    source = samples.Source(config, STAGE, config.diffusion.product, worker.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product_masks(draw)

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return inpaint.predict(unet, noisy, timestep, sample)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(config, STAGE, config.diffusion.product, diffusion.Trainable(unet, parameters), loss_of, worker)


def load_unfused(config: Config) -> UNet2DConditionModel:
    """The averaged weights with unfused updates."""
    return loop.load_average(config, STAGE, with_lora(config, inpaint.load(config))[0])


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights with fused updates."""
    unet = load_unfused(config)
    lora.fuse(unet)
    return unet


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
