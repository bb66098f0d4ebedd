"""What the encoders make of a request's conditioning; it stays the same for every step."""

from __future__ import annotations

import dataclasses

from orchestrator.arrays import Floats


@dataclasses.dataclass(frozen=True, eq=False)
class TextEmbeddings:
    """One prompt as the models read it: `hidden_states` [T, D], `pooled` [P]."""

    hidden_states: Floats
    pooled: Floats | None
    """None if neither the denoiser nor the reward model reads it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Embeddings:
    """What the denoiser is conditioned on.

    `image_tokens` [N, D] stand for the style pictures. Only the positive prompt's row has them (Ye et al. 2023), so
    guidance strengthens the style as it strengthens the prompt.
    """

    positive: TextEmbeddings
    negative: TextEmbeddings | None  # None = guidance is off
    image_tokens: Floats | None = None  # None = no style pictures
    image_scale: float = 0.0
    unconditional_tokens: Floats | None = None
    """[N, D]: what the negative prompt's row attends to, at the same scale; None: that row's scale is 0."""
