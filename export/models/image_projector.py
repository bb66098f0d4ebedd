"""`image_projector`: a style picture's two embeddings to the tokens that the denoiser's image attention reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models.component import Component, Inputs, Prepared
from export.models.loading import load_diffusers
from export.networks.image_projector import ImageProjector


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, in evaluation mode."""
    return load_diffusers(ImageProjector, source.folder)


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


COMPONENT = Component(KINDS["image_projector"], load, prepare)
