"""`image_projector`: a style picture's two embeddings to the tokens that the denoiser's image attention reads."""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import normalize

from export.contract import Size, TensorSpec
from export.errors import BadFolderError
from export.ip_adapters import PROJECTOR
from export.layout import KINDS, Source
from export.models.component import Component, ComponentModule, Inputs
from export.models.loading import load_diffusers
from export.networks.image_projector import ImageProjector


class ClipProjector(nn.Module):
    """`clip` [B, P] → `image_tokens` [B, N, D]: a published projector, which reads no UVE."""

    def __init__(self, model: ImageProjector) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.model(clip[:, :0], clip)
        return tokens


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, or from inside a published IP-Adapter's file; in evaluation mode."""
    if source.config["uve_dim"]:
        return load_diffusers(ImageProjector, source)
    (path,) = source.weights
    tensors = {
        name.removeprefix(PROJECTOR): value.float()
        for name, value in load_file(path).items()
        if name.startswith(PROJECTOR)
    }
    config = {name: value for name, value in source.config.items() if not name.startswith("_")}
    model: nn.Module = ImageProjector(**config)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadFolderError(f"{path.parent.name}/{path.name}: its projector is not that of IP-Adapter.") from error
    return model.eval()


def prepare(model: Any) -> ComponentModule:
    """Describes the projector: uve, clip → image_tokens; without `uve` where it reads none."""
    config = model.config
    widths = {"uve": int(config.uve_dim), "clip": int(config.clip_dim)}
    taken = {name: width for name, width in widths.items() if width}

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        return tuple(normalize(torch.randn(rows, width, generator=generator), dim=1) for width in taken.values())

    return ComponentModule(
        name="image_projector",
        module=model if config.uve_dim else ClipProjector(model).eval(),
        inputs=tuple(TensorSpec(name, "FP32", (width,)) for name, width in taken.items()),
        outputs=(TensorSpec("image_tokens", "FP32", (config.tokens, config.cross_attention_dim)),),
        sample=sample,
        max_batch_size=16,
    )


COMPONENT = Component(KINDS["image_projector"], load, prepare)
