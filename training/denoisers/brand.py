"""A brand LoRA: one brand's look, trained in minutes from 40 pictures, for the adapter bank of the served denoiser."""

from __future__ import annotations

import logging

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, lora, workers
from training.data.pictures import latent_mask, masked_picture, pictures_to_tensor, product_masks
from training.denoisers import image_adapter
from training.encoded import latents, samples
from training.encoders import vae
from training.world.brand import brand_picture

log = logging.getLogger(__name__)

STAGE = "brand"
SEED = 8_000_000
"""First seed of the brand's training pictures."""


def pictures(config: Config) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Latents, masked latents and masks of the brand's pictures, and their captions."""
    model = vae.load(config).to(loop.device())
    rendered = [brand_picture(SEED + n, config.data.size) for n in range(config.diffusion.brand_pictures)]
    image = pictures_to_tensor(np.stack([p.image for p in rendered]))
    mask = product_masks(np.stack([p.product_mask for p in rendered]))
    parts = [
        torch.cat([latents.encode(model, part) for part in torch.split(planes, 8)])
        for planes in (image, masked_picture(image, mask))
    ]
    return parts[0], parts[1], latent_mask(mask).to(loop.device()), [p.caption for p in rendered]


def with_lora(config: Config) -> tuple[UNet2DConditionModel, list[torch.nn.Parameter]]:
    """The denoiser of backgrounds with untrained updates, and the parameters of the updates."""
    unet = image_adapter.load(config).unet.to(memory_format=loop.layout())
    return unet, lora.attach(unet, config.diffusion.brand_rank)


def train(config: Config) -> None:
    """Trains the updates."""
    worker = workers.join()
    torch.manual_seed(config.seed)
    unet, parameters = with_lora(config)
    unet.train()
    hyper = config.diffusion.brand
    source = samples.Source(config, STAGE, hyper, worker.count)
    latent, masked, mask, captions = pictures(config)
    alpha_bar, tokens = diffusion.alphas(config), image_adapter.no_tokens(config, hyper.batch // worker.count)

    def loss_of(draw: int) -> tuple[Tensor, dict[str, float]]:
        rng = source.generator(draw)
        picks = rng.integers(len(latent), size=hyper.batch // worker.count)
        phrases = ["" if rng.random() < config.diffusion.prompt_drop else captions[i] for i in picks]
        sample = samples.sample_of(picks, latent[picks], masked[picks], mask[picks], source.text(phrases))

        def bound_predict(noisy: Tensor, timestep: Tensor) -> Tensor:
            return image_adapter.predict_tokens(unet, noisy, timestep, sample, *tokens)

        return diffusion.v_loss(config, bound_predict, sample.latent, sample.mask, alpha_bar, draw)

    diffusion.fit(config, STAGE, hyper, diffusion.Trainable(unet, parameters), loss_of, worker)
    log.info("captions like %r", captions[0])


def load_unfused(config: Config) -> UNet2DConditionModel:
    """The denoiser with the averaged, unfused updates."""
    return loop.load_average(config, STAGE, with_lora(config)[0])


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
