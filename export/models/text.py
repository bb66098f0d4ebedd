"""What the two text encoders share: running a CLIP text model up to its penultimate layer."""

from __future__ import annotations

from typing import Any

import torch

from export.contract import Axis, Size, TensorSpec
from export.models.component import Inputs

ClipText = Any
"""transformers' CLIPTextModel; untyped here because its attributes are torch modules found by name."""


LEGACY_EOS = 2
"""Early CLIP configs name 2 as the end token although it is the last of the vocabulary; transformers honours both."""


def causal_mask(ids: torch.Tensor) -> torch.Tensor:
    """The additive mask [1, 1, T, T] that hides later tokens."""
    tokens = ids.shape[1]
    hidden = torch.ones(tokens, tokens, dtype=torch.bool, device=ids.device).triu(1)
    return torch.zeros(tokens, tokens).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None]


def clip_states(model: ClipText, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Runs all layers but the last.

    SDXL conditions on the states before the last layer, without the final norm. Calling the layers here, instead of
    asking the model for `output_hidden_states`, leaves out the hooks that transformers collects them with.

    Returns:
        The penultimate hidden states [B, T, D] and the causal mask, for callers that run the last layer too.
    """
    mask = causal_mask(ids)
    states = model.embeddings(input_ids=ids)
    for layer in model.encoder.layers[:-1]:
        states = layer(states, mask)
    return states, mask


def last_states(model: ClipText, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The penultimate hidden states, and those of the last layer, normalised; both [B, T, D]."""
    states, mask = clip_states(model, ids)
    return states, model.final_layer_norm(model.encoder.layers[-1](states, mask))


def pooled(last: torch.Tensor, ids: torch.Tensor, eos: int) -> torch.Tensor:
    """The last layer's state [B, D] of each row's first end token."""
    scores = ids if eos == LEGACY_EOS else (ids == eos).to(torch.int32)
    end = scores.to(torch.int32).argmax(dim=-1)
    # A gather, not indexing by two ranges: the exporter keeps it one node and the row stays its own.
    index = end[:, None, None].expand(-1, 1, last.shape[-1])
    return last.gather(1, index)[:, 0]


def ids_spec(longest: int) -> TensorSpec:
    """`input_ids` INT64 [T]."""
    return TensorSpec("input_ids", "INT64", (Axis("tokens", low=2, high=longest),))


def sample_ids(config: Any) -> Any:
    """Returns a sample function: random words between BOS and EOS, padded with the pad token."""

    def sample(rows: int, size: Size, generator: torch.Generator) -> Inputs:
        tokens = min(size.tokens, config.max_position_embeddings)
        ids = torch.randint(0, max(1, config.vocab_size - 2), (rows, tokens), generator=generator)
        ids[:, 0] = config.bos_token_id
        for row in range(rows):
            # Prompts of different lengths, so that pooling looks at another place in every row.
            end = 1 + (3 + 5 * row) % (tokens - 1)
            ids[row, end] = config.eos_token_id
            ids[row, end + 1 :] = config.pad_token_id if config.pad_token_id is not None else config.eos_token_id
        return (ids,)

    return sample
