"""`denoiser_dit`: a denoiser that is a transformer, trained with flow matching on T5's states."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import SD3Transformer2DModel
from torch import nn

from export.contract import Axis, Size, TensorSpec
from export.layout import KINDS, Source
from export.models import vae
from export.models.component import ON_A_CPU, Component, ComponentModule, Inputs
from export.models.denoiser import FACTOR, PICTURE_INPUTS, row_samples, row_specs
from export.models.loading import load_diffusers

Transformer = Any
"""diffusers' SD3Transformer2DModel; untyped because its config is an attribute dictionary."""
LONGEST_PROMPT = 512
"""T5's usual length; ours is shorter."""


class DenoiserDit(nn.Module):
    """The row contract around an MMDiT (Esser et al. 2024).

    Shapes with the batch first: `sample` [B, C, h, w], `timestep` [B, 1] (1000 · sigma), `encoder_hidden_states`
    [B, T, D], `text_embeds` [B, P] → `noise_pred` [B, C, h, w], the flow's velocity: noise minus data. Its name is the
    other denoisers': who feeds it need not ask. One that inpaints takes `mask` [B, 1, h, w] and
    `masked_image_latents` [B, C, h, w] as well.
    """

    def __init__(self, transformer: Transformer, names: tuple[str, ...]) -> None:
        """`names` are those of the inputs, in their order."""
        super().__init__()
        self.transformer = transformer
        self.names = names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        row = dict(zip(self.names, inputs, strict=True))
        predicted: torch.Tensor = self.transformer(
            torch.cat([row[name] for name in PICTURE_INPUTS if name in row], dim=1),
            row["encoder_hidden_states"],
            row["text_embeds"],
            row["timestep"][:, 0],
            return_dict=False,
        )[0]
        return predicted


def load(source: Source) -> nn.Module:
    """Loads the transformer from its folder, in evaluation mode."""
    return load_diffusers(SD3Transformer2DModel, source)


def prepare(transformer: Transformer) -> ComponentModule:
    """Wraps a transformer for export."""
    config = transformer.config
    latents, states, pooled = config.out_channels, config.joint_attention_dim, config.pooled_projection_dim
    inpaints = config.in_channels != latents

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        return (
            *row_samples(latents, rows, size, generator, inpaints=inpaints),
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

    inputs = (
        *map(bounded, row_specs(latents, inpaints=inpaints)),
        TensorSpec("encoder_hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), states)),
        TensorSpec("text_embeds", "FP32", (pooled,)),
    )
    return ComponentModule(
        name="denoiser_dit",
        module=DenoiserDit(transformer, tuple(spec.name for spec in inputs)).eval(),
        inputs=inputs,
        outputs=(bounded(TensorSpec("noise_pred", "FP32", (latents, *vae.latent_pixels(FACTOR)))),),
        sample=sample,
        parameters=ON_A_CPU,
        instances=2,
    )


COMPONENT = Component(KINDS["denoiser_dit"], load, prepare)
