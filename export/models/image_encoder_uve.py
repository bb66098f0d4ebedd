"""`image_encoder_uve`: a style picture to the unified visual embedding, as floats and as bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models import vae
from export.models.component import Component, ComponentModule, Inputs, rand
from export.models.loading import load_diffusers
from export.networks.uve import UVE


def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
    """Pictures of noise, in −1…1."""
    return (rand(generator, rows, 3, size.height, size.width),)


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, in evaluation mode."""
    return load_diffusers(UVE, source)


def prepare(model: Any) -> ComponentModule:
    """Describes UVE, which already speaks the row contract: image → embedding, binary."""
    dim = int(model.config.dim)
    return ComponentModule(
        name="image_encoder_uve",
        module=model,
        inputs=(TensorSpec("image", "FP32", (3, *vae.pixels())),),
        outputs=(TensorSpec("embedding", "FP32", (dim,)), TensorSpec("binary", "FP32", (dim,))),
        sample=sample,
        binary=frozenset({"binary"}),
    )


COMPONENT = Component(KINDS["image_encoder_uve"], load, prepare)
