"""`text_encoder_t5`: the transformer denoiser's longer text context."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import T5EncoderModel

from export.contract import Axis, Size, TensorSpec
from export.layout import KINDS, Source
from export.models.component import Component, ComponentModule, Inputs
from export.models.denoiser_dit import LONGEST_PROMPT
from export.models.loading import load_transformers
from export.models.text import ids_spec

T5 = Any
"""transformers' T5EncoderModel; untyped because its attributes are torch modules found by name."""


class TextEncoderT5(nn.Module):
    """`input_ids` [B, T] → `hidden_states` [B, T, D] of the last layer, normalised.

    No mask hides the padding, as in diffusers' Stable Diffusion 3 pipeline: the denoiser learnt with these states.
    Calling the blocks here, instead of the stack, leaves out transformers' mask builders and hooks.
    """

    def __init__(self, model: T5) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states = self.encoder.embed_tokens(input_ids)
        # The first block computes the relative position bias; the others are given it.
        bias = None
        for block in self.encoder.block:
            states, bias = block(states, None, bias)[:2]
        normalised: torch.Tensor = self.encoder.final_layer_norm(states)
        return normalised


def load(source: Source) -> nn.Module:
    """Loads the model from its folder, in evaluation mode."""
    return load_transformers(T5EncoderModel, source)


def prepare(model: T5) -> ComponentModule:
    """Wraps a T5EncoderModel for export."""
    config = model.config

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        ids = torch.randint(0, config.vocab_size, (rows, size.tokens), generator=generator)
        for row in range(rows):
            ids[row, 1 + (3 + 5 * row) % (size.tokens - 1) :] = config.pad_token_id
        return (ids,)

    return ComponentModule(
        name="text_encoder_t5",
        module=TextEncoderT5(model).eval(),
        inputs=(ids_spec(LONGEST_PROMPT),),
        outputs=(TensorSpec("hidden_states", "FP32", (Axis("tokens", high=LONGEST_PROMPT), config.d_model)),),
        sample=sample,
        max_batch_size=16,
    )


COMPONENT = Component(KINDS["text_encoder_t5"], load, prepare)
