"""Pictures that an early checkpoint of the denoiser and the last one make, for the reward model.

Both make the same prompts from the same noise. Where stage 1 has left no early checkpoint, as after
`training.publish.adopt`, there are no pictures, and the reward model trains without them.
"""

from __future__ import annotations

import logging
from functools import partial

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor

from training.config import Config
from training.core import diffusion, loop, networks
from training.data import shards
from training.data.array_cache import cached_array
from training.data.checkpoint_pictures import path
from training.data.pictures import latent_mask, masked_picture, pasted, pictures_to_tensor, product_masks
from training.denoisers import inpaint, product
from training.encoded import latents, samples
from training.encoders import vae
from training.world.captions import background_prompt

log = logging.getLogger(__name__)

STAGE = "checkpoint_pairs"
STEPS = 10
BATCH = 8


def early(config: Config) -> UNet2DConditionModel | None:
    """The denoiser of stage 1 at a tenth of its steps; None if it was not kept."""
    kept = config.paths.work / inpaint.STAGE / "early.pt"
    if not kept.exists():
        return None
    unet = networks.unet(config)
    unet.load_state_dict(torch.load(kept, weights_only=True, map_location="cpu"))
    unet.eval().requires_grad_(False)
    return unet


def run(config: Config) -> None:
    """Makes the pictures of the training set's first products, and of the held-out ones; resumable by set."""
    first = early(config)
    if first is None:
        log.warning("%s: stage 1 has no early checkpoint, so the reward model gets no pictures of it", STAGE)
        return
    last = product.load(config)
    for kind, count in (("scene", config.small.checkpoint_pairs), ("held", config.small.checkpoint_pairs_held)):
        cached_array(path(config, kind), partial(_pairs, config, (first, last), kind, count))


def _pairs(
    config: Config, denoisers: tuple[UNet2DConditionModel, UNet2DConditionModel], kind: str, count: int
) -> NDArray[np.uint8]:
    """Pictures [2, N, H, W, 3] of the first `count` products of a kind of shard: early ones, late ones."""
    pictures = shards.load(config, kind)
    model = vae.load(config).to(loop.device())
    source = samples.Source(config, STAGE, config.diffusion.product)
    alpha_bar, timesteps = diffusion.alphas(config), np.linspace(999, 0, STEPS + 1)[:-1].astype(int).tolist()
    sides: list[list[NDArray[np.uint8]]] = [[], []]
    for start in range(0, min(count, len(pictures)), BATCH):
        picks = np.arange(start, min(start + BATCH, count, len(pictures)))
        images, masks = pictures.at(picks)
        image, mask = pictures_to_tensor(images).to(loop.device()), product_masks(masks).to(loop.device())
        rng = source.generator(start, kind)
        texts = source.text([background_prompt(shards.spec_of(pictures.rows[n]), rng) for n in picks])
        masked, cells = latents.encode(model, masked_picture(image, mask)), latent_mask(mask)
        sample = samples.sample_of(picks, masked, masked, cells, texts)
        without = samples.without_text(sample, source.text([""]))
        noise = diffusion.standard_normal(sample.latent.shape, torch.Generator().manual_seed(start))
        for unet, parts in zip(denoisers, sides, strict=True):
            guided = partial(_guided, unet, (sample, without), config.guidance_scale)
            latent = diffusion.walk(guided, noise, alpha_bar, timesteps) / float(model.config["scaling_factor"])
            with torch.no_grad(), loop.half_precision():
                decoded = model.decode(latent, image=masked_picture(image, mask), mask=mask).sample.float()
            parts.append(pasted(decoded, image, mask))
        if start % 64 == 0:
            log.info("%s: %d of %d pictures (%s)", STAGE, start, count, kind)
    return np.stack([np.concatenate(parts) for parts in sides])


def _guided(
    unet: UNet2DConditionModel, between: tuple[samples.Sample, samples.Sample], scale: float, noisy: Tensor, t: Tensor
) -> Tensor:
    towards, away = (inpaint.predict(unet, noisy, t, sample) for sample in between)
    return away + scale * (towards - away)


if __name__ == "__main__":
    loop.run_stage(__doc__, run)
