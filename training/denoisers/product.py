"""Stage 2: low-rank updates on every layer, product masks, full captions: the product is kept and never continued."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, lora, workers
from training.denoisers import inpaint
from training.encoded import samples

STAGE = "stage2"


def adapted(config: Config) -> tuple[UNet2DConditionModel, list[torch.nn.Parameter]]:
    """Stage 1's network with untrained updates on it, and their parameters."""
    unet = inpaint.load(config).to(loop.device(), memory_format=torch.channels_last)
    loop.plain_attention(unet)
    return unet, lora.attach(unet, config.diffusion.lora_rank)


def train(config: Config) -> None:
    """Trains the updates alone."""
    share = workers.join()
    torch.manual_seed(config.seed)
    unet, parameters = adapted(config)
    unet.train()
    source = samples.Source(config, STAGE, config.diffusion.stage2, share.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.product(draw)

        def predicted(noisy: Tensor, timestep: Tensor) -> Tensor:
            return inpaint.predict(unet, noisy, timestep, sample)

        return diffusion.v_loss(config, predicted, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(config, STAGE, config.diffusion.stage2, diffusion.Trained(unet, parameters), loss_of, share)


def load_adapted(config: Config) -> tuple[UNet2DConditionModel, list[torch.nn.Parameter]]:
    """The averaged weights with their updates still apart, to be trained on."""
    unet, parameters = adapted(config)
    loop.load_average(config, STAGE, unet)
    return unet, parameters


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights with their updates fused."""
    unet, _ = load_adapted(config)
    lora.fuse(unet)
    return unet


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
