"""`upscaler`: a tile of a picture to the same, two or four times as large."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models.component import LARGE_ON_A_CPU, Component, ComponentModule, Inputs, rand
from export.models.loading import load_diffusers
from export.networks.rrdb import RRDBNet
from export.networks.srvgg import SRVGGNetCompact
from export.networks.upscaler import Upscaler
from export.upscalers import geometry

NETWORKS: dict[str, Any] = {cls.__name__: cls for cls in (Upscaler, SRVGGNetCompact, RRDBNet)}


def load(source: Source) -> nn.Module:
    """Loads the upscaler from its folder, in evaluation mode; its config names the class."""
    return load_diffusers(NETWORKS[source.config["_class_name"]], source)


def prepare(model: Any) -> ComponentModule:
    """Describes the upscaler, which already speaks the row contract: image → upscaled, for tiles of one size."""
    tile, factor = geometry({"_class_name": type(model).__name__, **model.config})

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        # Tiles of noise, in 0…1.
        return ((rand(generator, rows, 3, tile, tile) + 1) / 2,)

    return ComponentModule(
        name="upscaler",
        module=model,
        inputs=(TensorSpec("image", "FP32", (3, tile, tile)),),
        outputs=(TensorSpec("upscaled", "FP32", (3, factor * tile, factor * tile)),),
        sample=sample,
        parameters=LARGE_ON_A_CPU,
    )


COMPONENT = Component(KINDS["upscaler"], load, prepare)
