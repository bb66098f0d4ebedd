"""`vae_encoder`: a picture to the mean of its latents, already scaled for the denoiser."""

from __future__ import annotations

import torch
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS
from export.models import vae
from export.models.component import LARGE_ON_A_CPU, Component, ComponentModule, Inputs, rand


class VaeEncoder(nn.Module):
    """`image` [B, 3, H, W] in −1…1 → `latents` [B, 4, H/8, W/8], the posterior's mean, shifted and scaled.

    The mean, not a sample: the same product must give the same latents, so that they can be cached by their digest.
    """

    def __init__(self, model: vae.Vae) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.quant_conv = model.quant_conv if model.quant_conv is not None else nn.Identity()
        self.scale = float(model.config.scaling_factor)
        self.shift = float(model.config.get("shift_factor") or 0)
        self.channels = int(model.config.latent_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        moments: torch.Tensor = self.quant_conv(self.encoder(image))
        mean = moments[:, : self.channels]
        return (mean - self.shift if self.shift else mean) * self.scale


def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
    """Pictures of noise, in −1…1."""
    return (rand(generator, rows, 3, size.height, size.width),)


def prepare(model: vae.Vae) -> ComponentModule:
    """Wraps the encoding half of a VAE for export."""
    return ComponentModule(
        name="vae_encoder",
        module=VaeEncoder(model).eval(),
        inputs=(TensorSpec("image", "FP32", (3, *vae.pixels())),),
        outputs=(
            TensorSpec("latents", "FP32", (int(model.config.latent_channels), *vae.latent_pixels(vae.factor(model)))),
        ),
        sample=sample,
        parameters=LARGE_ON_A_CPU,
    )


COMPONENT = Component(KINDS["vae_encoder"], vae.load, prepare)
