"""`denoiser_dit`: a denoiser that is a transformer, trained with flow matching on T5's states."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import SD3Transformer2DModel
from torch import nn

from export.models import vae
from export.models.component import Axis, Component, Inputs, Prepared, Size, Source, TensorSpec
from export.models.denoiser import FACTOR, row_samples, row_specs
from export.models.loading import load_diffusers

Transformer = Any
"""diffusers' SD3Transformer2DModel; untyped because its config is an attribute dictionary."""
LONGEST_PROMPT = 512
"""T5's usual length; ours is shorter."""


class DenoiserDit(nn.Module):
    """The row contract around an inpainting MMDiT (Esser et al. 2024).

    Shapes with the batch first: `sample` [B, 4, h, w], `mask` [B, 1, h, w], `masked_image_latents` [B, 4, h, w],
    `timestep` [B, 1] (1000 · sigma), `encoder_hidden_states` [B, T, D], `text_embeds` [B, P] → `noise_pred`
    [B, 4, h, w], the flow's velocity: noise minus data. Its name is the other denoisers': who feeds it need not ask.
    """

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(
        self,
        sample: torch.Tensor,
        mask: torch.Tensor,
        masked_image_latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor,
    ) -> torch.Tensor:
        predicted: torch.Tensor = self.transformer(
            torch.cat([sample, mask, masked_image_latents], dim=1),
            encoder_hidden_states,
            text_embeds,
            timestep[:, 0],
            return_dict=False,
        )[0]
        return predicted


def load(source: Source) -> nn.Module:
    """Loads the transformer from its folder, in evaluation mode."""
    return load_diffusers(SD3Transformer2DModel, source.folder)


def prepare(transformer: Transformer) -> Prepared:
    """Wraps an inpainting transformer for export."""
    config = transformer.config
    latents, states, pooled = config.out_channels, config.joint_attention_dim, config.pooled_projection_dim

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        return (
            *row_samples(latents, rows, size, generator),
            torch.randn(rows, size.tokens, states, generator=generator),
            torch.randn(rows, pooled, generator=generator),
        )

    def within(axis: Axis) -> Axis:
        # The positions are a table, cropped about its middle: a picture cannot be larger than the table.
        longest = config.pos_embed_max_size * config.patch_size // axis.multiple
        return Axis(axis.name, axis.multiple, axis.low, min(axis.high, longest))

    def bounded(spec: TensorSpec) -> TensorSpec:
        shape = tuple(within(axis) if isinstance(axis, Axis) else axis for axis in spec.shape)
        return TensorSpec(spec.name, spec.dtype, shape)

    return Prepared(
        name="denoiser_dit",
        module=DenoiserDit(transformer).eval(),
        inputs=(
            *map(bounded, row_specs(latents)),
            TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), states)),
            TensorSpec("text_embeds", "FP32", (pooled,)),
        ),
        outputs=(bounded(TensorSpec("noise_pred", "FP32", (latents, *vae.latent_pixels(FACTOR)))),),
        sample=sample,
        parameters={"intra_op_threads": "2"},
    )


COMPONENT = Component(
    name="denoiser_dit",
    role="denoiser",
    folder="transformer",
    classes=("SD3Transformer2DModel",),
    weights="diffusion_pytorch_model.safetensors",
    load=load,
    prepare=prepare,
    needs=("text_encoder_t5",),
)
