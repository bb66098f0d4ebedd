"""`text_encoder_g`: the second text encoder: penultimate hidden states and the projected, pooled embedding."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextModelWithProjection

from export.models.component import Axis, Component, Prepared, TensorSpec
from export.models.loading import load_transformers
from export.models.text import ClipText, clip_states, ids_spec, sample_ids

LEGACY_EOS = 2
"""Early CLIP configs name 2 as the end token although it is the last of the vocabulary; transformers honours both."""


class TextEncoderG(nn.Module):
    """`input_ids` [B, T] → `hidden_states` [B, T, Dg] of the penultimate layer, `text_embeds` [B, P]."""

    def __init__(self, model: ClipText) -> None:
        super().__init__()
        self.model = model
        self.eos = int(model.config.eos_token_id)

    def forward(self, input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        text = self.model.text_model
        states, mask = clip_states(text, input_ids)
        last = text.final_layer_norm(text.encoder.layers[-1](states, mask))
        # The pooled embedding is the state of the first end token.
        scores = input_ids if self.eos == LEGACY_EOS else (input_ids == self.eos).to(torch.int32)
        end = scores.to(torch.int32).argmax(dim=-1)
        # A gather, not indexing by two ranges: the exporter keeps it one node and the row stays its own.
        index = end[:, None, None].expand(-1, 1, last.shape[-1])
        pooled = last.gather(1, index)[:, 0]
        return states, self.model.text_projection(pooled)


def prepare(model: ClipText) -> Prepared:
    """Wraps a CLIPTextModelWithProjection for export."""
    config = model.config
    longest = config.max_position_embeddings
    return Prepared(
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


COMPONENT = Component(
    name="text_encoder_g",
    role="text_encoder_g",
    folder="text_encoder_2",
    classes=("CLIPTextModelWithProjection",),
    weights="model.safetensors",
    load=lambda source: load_transformers(CLIPTextModelWithProjection, source.folder),
    prepare=prepare,
    tokenizer="tokenizer_2",
)
