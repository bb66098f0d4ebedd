"""`image_projector`: a style picture's two embeddings to the tokens that the denoiser's image attention reads."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import normalize

from export.models.component import Component, Inputs, Prepared, Size, TensorSpec
from export.models.loading import load_diffusers
from export.networks.image_projector import ImageProjector


def prepare(model: Any) -> Prepared:
    """Describes the projector, which already speaks the row contract: uve, clip → image_tokens."""
    config = model.config

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        return tuple(
            normalize(torch.randn(rows, width, generator=generator), dim=1)
            for width in (config.uve_dim, config.clip_dim)
        )

    return Prepared(
        name="image_projector",
        module=model,
        inputs=(TensorSpec("uve", "FP32", (config.uve_dim,)), TensorSpec("clip", "FP32", (config.clip_dim,))),
        outputs=(TensorSpec("image_tokens", "FP32", (config.tokens, config.cross_attention_dim)),),
        sample=sample,
        max_batch_size=16,
    )


COMPONENT = Component(
    name="image_projector",
    role="image_projector",
    folder="image_projector",
    classes=("ImageProjector",),
    weights="diffusion_pytorch_model.safetensors",
    load=lambda source: load_diffusers(ImageProjector, source.folder),
    prepare=prepare,
)
