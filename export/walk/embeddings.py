"""What encoders make of a prompt and a style, laid out as the denoiser of a family reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tokenizers import Tokenizer

from export import tokenizer
from export.source import PipelineFolder
from export.walk.runner import Array, Tensors

T5 = "text_encoder_t5"


@dataclass(frozen=True)
class Embeddings:
    """A prompt and the empty prompt, as two rows of a denoiser's inputs."""

    rows: Mapping[str, Array]
    """`encoder_hidden_states` [2, T, D]; if the pipeline has them, `text_embeds`, `image_tokens`, `image_scale`."""


def token_ids(folder: PipelineFolder, role: str, prompts: Sequence[str]) -> Array:
    """INT64 [rows, T]: prompts as a text encoder is given them, padded; one that is too long is cut."""
    source = folder.sources[role]
    assert source.tokenizer is not None
    length = folder.text["t5_max_tokens" if role == T5 else "max_tokens"]
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / "tokenizer.json"
        tokenizer.convert(source.tokenizer, source.config, length, path)
        encode = Tokenizer.from_file(str(path))
    rows = [encode.encode(prompt).ids for prompt in prompts]
    cut = [ids if len(ids) <= length else [*ids[: length - 1], ids[-1]] for ids in rows]
    return np.array(cut, np.int64)


def embeddings_of(folder: PipelineFolder, text: Mapping[str, Tensors], tokens: Array | None) -> Embeddings:
    """Lays out the encoders' outputs for [prompt, ""].

    Args:
        folder: The pipeline.
        text: By role: `hidden_states` [2, T, D], and `text_embeds` [2, P] of encoders with a projection.
        tokens: `image_tokens` [2, N, D] of the style and of the row of the empty prompt, zeros where the request has
            none; None where the pipeline takes no style.
    """
    rows = {"encoder_hidden_states": joined_states({role: text[role]["hidden_states"] for role in folder.states})}
    if folder.pooled:
        rows["text_embeds"] = np.concatenate([text[role]["text_embeds"] for role in folder.pooled], axis=1)
    if tokens is not None:
        rows["image_tokens"] = tokens
        rows["image_scale"] = tokens.any(axis=(1, 2)).astype(np.float32)[:, None]
    if folder.conventions["empty_negative"] == "zeros":
        for name in {"encoder_hidden_states", "text_embeds"} & set(rows):
            rows[name] = np.concatenate([rows[name][:1], np.zeros_like(rows[name][1:])])
    return Embeddings(rows)


def joined_states(states: Mapping[str, Array]) -> Array:
    """The states [B, T, D] of several text encoders as one sequence, by role.

    CLIP's encoders lie side by side (Podell et al. 2023, §2.1). T5's states follow them, and CLIP's are padded with
    zeros to T5's width (Esser et al. 2024, §B.3).
    """
    clip = [value for role, value in states.items() if role != T5]
    if T5 not in states:
        return np.concatenate(clip, axis=2)
    t5 = states[T5]
    if not clip:
        return t5
    side_by_side = np.concatenate(clip, axis=2)
    padded = np.pad(side_by_side, ((0, 0), (0, 0), (0, t5.shape[2] - side_by_side.shape[2])))
    return np.concatenate([padded, t5], axis=1)
