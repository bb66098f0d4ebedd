"""Stage 3, one denoiser for all tasks: all weights of the served denoiser, trained with the mixture of all masks.

The image layers of the IP-Adapter stay as they are; they have no effect here, because no sample has a style picture.
"""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, networks, workers
from training.denoisers import image_adapter, inpaint
from training.encoded import samples

STAGE = "tasks"


def without_image_layers(config: Config, unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """The same weights in a UNet that takes text alone."""
    plain = networks.unet(config)
    plain.load_state_dict({name: value for name, value in unet.state_dict().items() if ".processor." not in name})
    return plain


def train(config: Config) -> None:
    """Trains all weights, from those with stage 2's updates fused."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet = without_image_layers(config, image_adapter.load(config).unet)
    unet.to(loop.device(), memory_format=torch.channels_last).train().requires_grad_(True)
    loop.plain_attention(unet)
    hyper = config.diffusion.tasks
    source = samples.Source(config, STAGE, hyper, worker.count)
    alpha_bar = diffusion.alphas(config)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        sample = source.task_masks(draw)

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return inpaint.predict(unet, noisy, timestep, sample)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    trainable = diffusion.Trainable(unet, list(unet.parameters()))
    diffusion.fit(config, STAGE, hyper, trainable, loss_of, worker)


def load(config: Config) -> image_adapter.StyleDenoiser:
    """The averaged weights of the last checkpoint, with the IP-Adapter's image layers and projector."""
    denoiser = image_adapter.load(config)
    plain = loop.load_average(config, STAGE, networks.unet(config)).state_dict()
    image_layers = {name: value for name, value in denoiser.unet.state_dict().items() if ".processor." in name}
    denoiser.unet.load_state_dict({**plain, **image_layers})
    return denoiser


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
