"""Encode: prompts and style pictures to the embeddings that the denoiser reads."""

from __future__ import annotations

from backdrop.contract.parts import Conditioning
from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import both
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.embeddings import Embeddings
from orchestrator.stages.models import Models
from orchestrator.stages.style import encode_style
from orchestrator.stages.text import encode_texts


async def encode(
    conditioning: Conditioning, *, guided: bool, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> Embeddings:
    """Returns what the denoiser is conditioned on; the negative prompt is encoded only if guidance is on."""
    prompts = [conditioning.prompt, conditioning.negative_prompt] if guided else [conditioning.prompt]
    read = encode_texts(prompts, models, tokenizers, lookups)
    # Without style pictures no task is started: it would cost more than a look-up in memory.
    if conditioning.style:
        texts, image_tokens = await both(read, encode_style(conditioning.style, models, lookups))
        return Embeddings(texts[0], texts[1] if guided else None, image_tokens, conditioning.image_scale)
    texts = await read
    return Embeddings(texts[0], texts[1] if guided else None)
