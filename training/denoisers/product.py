"""Stage 2, products: low-rank updates on stage 1, trained with product masks and full captions.

They teach the denoiser not to continue the product into the background. They are the task adapter of backgrounds
(docs/decisions/0044-products-adapter.md).
"""

from __future__ import annotations

from diffusers import UNet2DConditionModel

from training.config import Config
from training.core import loop, lora
from training.denoisers import task_adapter
from training.encoded import samples

STAGE = "stage2"
"""Folder of the checkpoints and seed of the samples, as in weights that are already trained."""


def train(config: Config) -> None:
    """Trains the updates."""
    task_adapter.train(config, STAGE, config.diffusion.product, samples.Source.product_masks)


def load(config: Config) -> UNet2DConditionModel:
    """The averaged weights with fused updates."""
    unet = task_adapter.load_unfused(config, STAGE)
    lora.fuse(unet)
    return unet


if __name__ == "__main__":
    loop.run_stage(__doc__, train)
