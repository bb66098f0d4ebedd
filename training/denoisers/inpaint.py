"""Stage 1, many tasks: the base with more channels (mask, masked latents), the masks of all tasks, full captions."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, networks, workers
from training.denoisers import base
from training.encoded import samples

STAGE = "stage1"
"""Folder of the checkpoints and seed of the samples, as in weights that are already trained."""


def widen(config: Config, unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A network with mask channels whose output equals that of `unet`: the new channels have zero weights."""
    wide = networks.unet(config)
    weights = unet.state_dict()
    extra = wide.conv_in.weight.shape[1] - weights["conv_in.weight"].shape[1]
    weights["conv_in.weight"] = torch.nn.functional.pad(weights["conv_in.weight"], (0, 0, 0, 0, 0, extra))
    wide.load_state_dict(weights)
    return wide


def predict(unet: UNet2DConditionModel, noisy: Tensor, timestep: Tensor, sample: samples.Sample) -> Tensor:
    """The prediction; input channels in the pipeline's order: sample, mask, masked latents."""
    planes = torch.cat([noisy, sample.mask, sample.masked], dim=1)
    return base.predict(unet, planes, timestep, sample.text.states, sample)


def train(config: Config) -> None:
    """Trains all weights, starting from the base."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet = widen(config, base.load(config)).to(loop.device(), memory_format=loop.layout())
    unet.train().requires_grad_(True)
    loop.plain_attention(unet)
    source = samples.Source(config, STAGE, config.diffusion.inpaint, worker.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.task_masks(draw)

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return predict(unet, noisy, timestep, sample)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    trainable = diffusion.Trainable(unet, list(unet.parameters()))
    diffusion.fit(config, STAGE, config.diffusion.inpaint, trainable, loss_of, worker)


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights of the last checkpoint."""
    return loop.load_average(config, STAGE, networks.unet(config))


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
