"""What the VAE's two halves share: loading it, and its sizes."""

from __future__ import annotations

from typing import Any

from diffusers import AsymmetricAutoencoderKL, AutoencoderKL
from torch import nn

from export.contract import Axis
from export.layout import Source
from export.models.loading import load_diffusers
from export.networks.group_norm import widen_norms

Vae = Any
"""diffusers' AutoencoderKL or AsymmetricAutoencoderKL; untyped because their configs are attribute dictionaries."""
CLASSES = ("AsymmetricAutoencoderKL", "AutoencoderKL")
WEIGHTS = "diffusion_pytorch_model.safetensors"
UNIT = 32
"""Pixels to a unit of height or width: pictures are multiples of it, which every component can take."""


def load(source: Source) -> nn.Module:
    """Loads either kind of VAE from its folder, in evaluation mode."""
    conditioned = source.config["_class_name"] == "AsymmetricAutoencoderKL"
    cls = AsymmetricAutoencoderKL if conditioned else AutoencoderKL
    return widen_norms(load_diffusers(cls, source))


def factor(vae: Vae) -> int:
    """How many pixels a latent stands for, along a side."""
    channels = vae.config.get("down_block_out_channels") or vae.config.block_out_channels
    return int(2 ** (len(channels) - 1))


def pixels() -> tuple[Axis, Axis]:
    """Height and width of a picture."""
    return Axis("height", UNIT), Axis("width", UNIT)


def latent_pixels(pixel_factor: int) -> tuple[Axis, Axis]:
    """Height and width of its latents, tied to the picture's."""
    return Axis("height", UNIT // pixel_factor), Axis("width", UNIT // pixel_factor)
