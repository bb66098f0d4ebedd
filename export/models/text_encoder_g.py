"""`text_encoder_g`: the second text encoder: penultimate hidden states and the projected, pooled embedding."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextModelWithProjection

from export.contract import Axis, TensorSpec
from export.layout import KINDS, Source
from export.models.component import Component, ComponentModule
from export.models.loading import load_transformers
from export.models.text import ClipText, ids_spec, last_states, pooled, sample_ids


class TextEncoderG(nn.Module):
    """`input_ids` [B, T] → `hidden_states` [B, T, Dg] of the penultimate layer, `text_embeds` [B, P]."""

    def __init__(self, model: ClipText) -> None:
        super().__init__()
        self.model = model
        self.eos = int(model.config.eos_token_id)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, last = last_states(self.model.text_model, input_ids)
        return states, self.model.text_projection(pooled(last, input_ids, self.eos))


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, in evaluation mode."""
    return load_transformers(CLIPTextModelWithProjection, source)


def prepare(model: ClipText) -> ComponentModule:
    """Wraps a CLIPTextModelWithProjection for export."""
    config = model.config
    longest = config.max_position_embeddings
    return ComponentModule(
        name="text_encoder_g",
        module=TextEncoderG(model).eval(),
        inputs=(ids_spec(longest),),
        outputs=(
            TensorSpec("hidden_states", "FP32", (Axis("tokens", high=longest), config.hidden_size)),
            TensorSpec("text_embeds", "FP32", (config.projection_dim,)),
        ),
        sample=sample_ids(config),
        max_batch_size=16,
    )


COMPONENT = Component(KINDS["text_encoder_g"], load, prepare)
