"""Adapters of tasks: low-rank updates on stage 1, each trained on the samples of its tasks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config, Diffusion
from training.core import diffusion, loop, lora, workers
from training.denoisers import inpaint
from training.encoded import samples


def with_lora(config: Config, unet: UNet2DConditionModel) -> tuple[UNet2DConditionModel, list[torch.nn.Parameter]]:
    """Stage 1's network with untrained low-rank updates, and the parameters of the updates."""
    unet = unet.to(loop.device(), memory_format=loop.layout())
    loop.plain_attention(unet)
    return unet, lora.attach(unet, config.diffusion.lora_rank)


def train(config: Config, stage: str, hyper: Diffusion, drawn: Callable[[samples.Source, int], samples.Sample]) -> None:
    """Trains the updates on the samples that `drawn` takes from the source, by the number of the draw."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet, parameters = with_lora(config, inpaint.load(config))
    unet.train()
    source = samples.Source(config, stage, hyper, worker.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = drawn(source, draw)

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return inpaint.predict(unet, noisy, timestep, sample)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(config, stage, hyper, diffusion.Trainable(unet, parameters), loss_of, worker)


def load_unfused(config: Config, stage: str) -> UNet2DConditionModel:
    """Stage 1 with a stage's averaged, unfused updates."""
    return loop.load_average(config, stage, with_lora(config, inpaint.load(config))[0])
