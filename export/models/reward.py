"""`reward`: scores a finished picture; one head a column, named in `pipeline.json`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from export.contract import Size, TensorSpec
from export.layout import KINDS, Source
from export.models import vae
from export.models.component import Component, ComponentModule, Inputs, rand, rand_mask
from export.models.loading import load_diffusers
from export.networks.reward import RewardModel, RewardWithoutText


def load(source: Source) -> nn.Module:
    """Loads the reward model from its folder, in evaluation mode."""
    model: Any = load_diffusers(RewardModel, source)
    # Which form a pipeline needs is the pipeline's affair; `prepare` asks the model.
    model.register_to_config(without_text=source.without_text)
    module: nn.Module = model
    return module


def prepare(model: Any) -> ComponentModule:
    """Describes the reward model, which already speaks the row contract: image, mask, text_embeds → scores.

    Where its text input does not fit the pipeline: image, mask → the scores of the heads that read no text.
    """
    text_dim = int(model.config.text_dim)
    blind = bool(model.config.get("without_text"))
    module = RewardWithoutText(model).eval() if blind else model

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        image = rand(generator, rows, 3, size.height, size.width)
        text = torch.randn(rows, text_dim, generator=generator)
        mask = rand_mask(generator, rows, size.height, size.width)
        return (image, mask) if blind else (image, mask, text)

    with torch.no_grad():
        # The number of heads is the network's business; one small run asks it.
        heads = module(*sample(1, Size(64, 64, 2), torch.Generator().manual_seed(0))).shape[1]
    return ComponentModule(
        name="reward",
        module=module,
        inputs=(
            TensorSpec("image", "FP32", (3, *vae.pixels())),
            TensorSpec("mask", "FP32", (1, *vae.pixels())),
            *(() if blind else (TensorSpec("text_embeds", "FP32", (text_dim,)),)),
        ),
        outputs=(TensorSpec("scores", "FP32", (int(heads),)),),
        sample=sample,
    )


COMPONENT = Component(KINDS["reward"], load, prepare)
