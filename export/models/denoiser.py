"""`denoiser`: one row is one sample of one request at its own timestep, with its own conditioning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from export.models import vae
from export.models.component import Axis, Component, Inputs, Prepared, Size, TensorSpec, rand_mask
from export.models.loading import load_diffusers

Unet = Any
"""diffusers' UNet2DConditionModel; untyped because its config is an attribute dictionary."""
FACTOR = 8
LONGEST_PROMPT = 308
"""Tokens of conditioning: room for four chunks of 77."""


class Denoiser(nn.Module):
    """The row contract around an inpainting UNet with SDXL's text-and-time conditioning.

    Shapes with the batch first: `sample` [B, 4, h, w], `mask` [B, 1, h, w], `masked_image_latents` [B, 4, h, w],
    `timestep` [B, 1], `encoder_hidden_states` [B, T, D], `text_embeds` [B, P], `time_ids` [B, 6]
    → `noise_pred` [B, 4, h, w]. Whether that is noise or v is for `prediction_type` to say.
    """

    def __init__(self, unet: Unet) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        sample: torch.Tensor,
        mask: torch.Tensor,
        masked_image_latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> torch.Tensor:
        predicted: torch.Tensor = self.unet(
            torch.cat([sample, mask, masked_image_latents], dim=1),
            timestep[:, 0],
            encoder_hidden_states,
            added_cond_kwargs={"text_embeds": text_embeds, "time_ids": time_ids},
            return_dict=False,
        )[0]
        return predicted


def load(folder: Path) -> nn.Module:
    """Loads the UNet from its folder, in evaluation mode."""
    return load_diffusers(UNet2DConditionModel, folder)


def widths(unet: Unet) -> tuple[int, int, int]:
    """Channels of the latents, width of the text states, width of the pooled text embedding."""
    config = unet.config
    latents = (config.in_channels - 1) // 2
    pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
    return latents, int(config.cross_attention_dim), pooled


def prepare(unet: Unet) -> Prepared:
    """Wraps an inpainting UNet for export."""
    latents, states, pooled = widths(unet)
    h, w = vae.latent_pixels(FACTOR)

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(rows, *shape, generator=generator)

        at = (size.height // FACTOR, size.width // FACTOR)
        ids = torch.tensor([size.height, size.width, 0, 0, size.height, size.width], dtype=torch.float32)
        return (
            normal(latents, *at),
            rand_mask(generator, rows, *at),
            normal(latents, *at),
            # No two rows at the same timestep: that is what the row contract is about.
            torch.linspace(999, 1, rows + 1)[:rows, None].round(),
            normal(size.tokens, states),
            normal(pooled),
            ids.repeat(rows, 1),
        )

    return Prepared(
        role="denoiser",
        module=Denoiser(unet).eval(),
        inputs=(
            TensorSpec("sample", "FP32", (latents, h, w)),
            TensorSpec("mask", "FP32", (1, h, w)),
            TensorSpec("masked_image_latents", "FP32", (latents, h, w)),
            TensorSpec("timestep", "FP32", (1,)),
            TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), states)),
            TensorSpec("text_embeds", "FP32", (pooled,)),
            TensorSpec("time_ids", "FP32", (6,)),
        ),
        outputs=(TensorSpec("noise_pred", "FP32", (latents, h, w)),),
        sample=sample,
        parameters={"intra_op_threads": "2"},
    )


COMPONENT = Component(
    role="denoiser",
    folder="unet",
    classes=("UNet2DConditionModel",),
    weights="diffusion_pytorch_model.safetensors",
    load=load,
    prepare=prepare,
)
