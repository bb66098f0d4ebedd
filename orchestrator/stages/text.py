"""Text: prompts to the text encoders' embeddings, cached by token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.embeddings import TextEmbeddings
from orchestrator.stages.models import Models

_POOLED = "text_encoder_g"


async def encode_texts(
    prompts: Sequence[str], models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> list[TextEmbeddings]:
    """Returns prompts as the pipeline's denoiser reads them. All encoders read all prompts concurrently.

    The states are those of both CLIP encoders, concatenated, the smaller encoder's first (SDXL: Podell et al. 2023,
    §2.1), or those of T5 where the pipeline has one. The pooled vector is always the larger CLIP encoder's.
    """

    async def run(prompt: str, role: str) -> Mapping[str, npt.NDArray[Any]]:
        ids = tokenizers.of(models.pipeline, role).ids(prompt)
        fingerprint = models.fingerprint(role)
        return await lookups.arrays("text", fingerprint, {"ids": ids}, lambda: models.one(role, input_ids=ids))

    roles = models.pipeline.states_roles
    read_roles = list(dict.fromkeys([*roles, _POOLED]))
    pairs = [(prompt, role) for prompt in prompts for role in read_roles]
    outputs = dict(zip(pairs, await gather(*(run(*pair) for pair in pairs)), strict=True))
    return [
        TextEmbeddings(
            np.concatenate([outputs[prompt, role]["hidden_states"] for role in roles], axis=-1),
            outputs[prompt, _POOLED]["text_embeds"],
        )
        for prompt in prompts
    ]
