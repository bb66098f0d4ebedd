"""How a family's denoiser reads its encoders: states side by side or one after the other, pooled embeddings, style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from export.rehearsal.scene import Array, Tensors

TEXT_ROLES = ("text_encoder_l", "text_encoder_g", "text_encoder_t5")


@dataclass(frozen=True)
class Prompted:
    """A prompt, and the empty one for guidance, as two rows of a denoiser's inputs."""

    rows: Mapping[str, Array]
    pooled: Array | None
    """`text_embeds` [2, P] of the second text encoder, which the reward model reads too."""


def rows_of(text: Mapping[str, Tensors], style: Tensors) -> Prompted:
    """Puts together what encoders made of [prompt, ""], by which of them there are.

    Args:
        text: By role: `hidden_states` [2, T, D], and `text_embeds` [2, P] of those with a projection.
        style: `image_tokens` [1, N, D], or nothing.
    """
    clip = [text[role] for role in ("text_encoder_l", "text_encoder_g") if role in text]
    embeds = [made["text_embeds"] for made in clip if "text_embeds" in made]
    if "text_encoder_t5" not in text:
        states = np.concatenate([made["hidden_states"] for made in clip], axis=2)
    elif "text_encoder_l" not in text:
        states = text["text_encoder_t5"]["hidden_states"]
    else:
        states = after_one_another(clip, text["text_encoder_t5"]["hidden_states"])
    rows = {"encoder_hidden_states": states}
    if embeds:
        rows["text_embeds"] = np.concatenate(embeds, axis=1)
    if style:
        # The style goes with the prompt alone; a row without one carries zeros.
        tokens = style["image_tokens"]
        rows["image_tokens"] = np.concatenate([tokens, np.zeros_like(tokens)])
        rows["image_scale"] = np.array([[1.0], [0.0]], np.float32)
    pooled = text["text_encoder_g"]["text_embeds"] if "text_encoder_g" in text else None
    return Prompted(rows, pooled)


def after_one_another(clip: list[Tensors], t5: Array) -> Array:
    """Stable Diffusion 3's context: CLIP's states side by side, padded to T5's width with zeros, then T5's."""
    beside = np.concatenate([made["hidden_states"] for made in clip], axis=2)
    missing = t5.shape[2] - beside.shape[2]
    padded = np.pad(beside, ((0, 0), (0, 0), (0, missing)))
    return np.concatenate([padded, t5], axis=1)
