"""`text_encoder_l`: CLIP's text encoder: SDXL reads its penultimate states, Stable Diffusion 1 the last ones."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from export.contract import Axis, TensorSpec
from export.layout import CLIP_POOLED, KINDS, Source
from export.models.component import Component, ComponentModule
from export.models.loading import load_transformers
from export.models.text import ClipText, clip_states, ids_spec, last_states, pooled, sample_ids


class TextEncoderL(nn.Module):
    """`input_ids` [B, T] → `hidden_states` [B, T, Dl] of the penultimate layer. The last layer is never run."""

    def __init__(self, model: ClipText) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return clip_states(self.model, input_ids)[0]


class TextEncoderLast(TextEncoderL):
    """The same with the normalised states of the last layer, as Stable Diffusion 1 was trained."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return last_states(self.model, input_ids)[1]


class TextEncoderPooled(nn.Module):
    """The same with `text_embeds` [B, P] beside the penultimate states, as Stable Diffusion 3 reads both."""

    def __init__(self, model: ClipText) -> None:
        super().__init__()
        self.model = model
        self.eos = int(model.config.eos_token_id)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, last = last_states(self.model.text_model, input_ids)
        return states, self.model.text_projection(pooled(last, input_ids, self.eos))


def load(source: Source) -> nn.Module:
    """Loads the encoder from its folder, with its projection where the folder has one, in evaluation mode."""
    projected = source.config.get("architectures") == [CLIP_POOLED]
    model: ClipText = load_transformers(CLIPTextModelWithProjection if projected else CLIPTextModel, source)
    # Which states are read is the pipeline's affair; the wrapper asks the model.
    model.config.last_states = source.last_states
    module: nn.Module = model
    return module


def prepare(model: ClipText) -> ComponentModule:
    """Wraps a CLIPTextModel, or one with a projection, for export."""
    config = model.config
    longest = config.max_position_embeddings
    outputs = [TensorSpec("hidden_states", "FP32", (Axis("tokens", high=longest), config.hidden_size))]
    module: nn.Module
    if hasattr(model, "text_projection"):
        module = TextEncoderPooled(model)
        outputs.append(TensorSpec("text_embeds", "FP32", (config.projection_dim,)))
    else:
        module = (TextEncoderLast if getattr(config, "last_states", False) else TextEncoderL)(model)
    return ComponentModule(
        name="text_encoder_l",
        module=module.eval(),
        inputs=(ids_spec(longest),),
        outputs=tuple(outputs),
        sample=sample_ids(config),
        max_batch_size=16,
    )


COMPONENT = Component(KINDS["text_encoder_l"], load, prepare)
