"""`text_encoder_l`: the first text encoder, of which only the penultimate hidden states are read."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextModel

from export.models.component import Axis, Component, Prepared, TensorSpec
from export.models.loading import load_transformers
from export.models.text import ClipText, clip_states, ids_spec, sample_ids


class TextEncoderL(nn.Module):
    """`input_ids` [B, T] → `hidden_states` [B, T, Dl] of the penultimate layer. The last layer is never run."""

    def __init__(self, model: ClipText) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return clip_states(self.model, input_ids)[0]


def prepare(model: ClipText) -> Prepared:
    """Wraps a CLIPTextModel for export."""
    config = model.config
    longest = config.max_position_embeddings
    return Prepared(
        name="text_encoder_l",
        module=TextEncoderL(model).eval(),
        inputs=(ids_spec(longest),),
        outputs=(TensorSpec("hidden_states", "FP32", (Axis("tokens", high=longest), config.hidden_size)),),
        sample=sample_ids(config),
        max_batch_size=16,
    )


COMPONENT = Component(
    name="text_encoder_l",
    role="text_encoder_l",
    folder="text_encoder",
    classes=("CLIPTextModel",),
    weights="model.safetensors",
    load=lambda source: load_transformers(CLIPTextModel, source.folder),
    prepare=prepare,
    tokenizer="tokenizer",
)
