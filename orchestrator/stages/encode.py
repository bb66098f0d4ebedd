"""Encode: prompts and style pictures to the embeddings that the denoiser reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backdrop.contract.parts import Conditioning
from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import both
from orchestrator.repository.conventions import EmptyNegative, UnconditionalImage
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.embeddings import Embeddings, TextEmbeddings
from orchestrator.stages.models import Models
from orchestrator.stages.style import encode_style, tokens_of_nothing
from orchestrator.stages.text import encode_texts


async def encode(
    conditioning: Conditioning, *, guided: bool, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> Embeddings:
    """Returns what the denoiser is conditioned on; the negative prompt is encoded only if guidance is on."""
    conventions = models.pipeline.conventions
    zeros = not conditioning.negative_prompt and conventions.empty_negative is EmptyNegative.ZEROS
    prompts = [conditioning.prompt] if zeros or not guided else [conditioning.prompt, conditioning.negative_prompt]
    read = encode_texts(prompts, models, tokenizers, lookups)
    # Without style pictures no task is started: it would cost more than a look-up in memory.
    if not conditioning.style:
        return Embeddings(*_pair(await read, guided))
    texts, image_tokens = await both(read, encode_style(conditioning.style, models, lookups))
    unconditional = None
    if guided and conventions.unconditional_image is UnconditionalImage.ZEROS:
        unconditional = await tokens_of_nothing(models, lookups)
    return Embeddings(*_pair(texts, guided), image_tokens, conditioning.image_scale, unconditional)


def _pair(texts: Sequence[TextEmbeddings], guided: bool) -> tuple[TextEmbeddings, TextEmbeddings | None]:
    """The prompt's embeddings and the negative prompt's: zeros where none was encoded, None where guidance is off."""
    if not guided:
        return texts[0], None
    return texts[0], texts[1] if len(texts) > 1 else _zeros_like(texts[0])


def _zeros_like(text: TextEmbeddings) -> TextEmbeddings:
    pooled = None if text.pooled is None else np.zeros_like(text.pooled)
    return TextEmbeddings(np.zeros_like(text.hidden_states), pooled)
