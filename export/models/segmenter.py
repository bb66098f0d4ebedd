"""`segmenter`: a product photo to the product's alpha."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models import vae
from export.models.component import Component, ComponentModule, Inputs, rand
from export.models.loading import load_diffusers
from export.networks.segmenter import Segmenter


def load(source: Source) -> nn.Module:
    """Loads the segmenter from its folder, in evaluation mode."""
    return load_diffusers(Segmenter, source)


def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
    """Pictures of noise, in −1…1."""
    return (rand(generator, rows, 3, size.height, size.width),)


def prepare(model: Any) -> ComponentModule:
    """Describes the segmenter, which already speaks the row contract: image → alpha."""
    return ComponentModule(
        name="segmenter",
        module=model,
        inputs=(TensorSpec("image", "FP32", (3, *vae.pixels())),),
        outputs=(TensorSpec("alpha", "FP32", (1, *vae.pixels())),),
        sample=sample,
    )


COMPONENT = Component(KINDS["segmenter"], load, prepare)
