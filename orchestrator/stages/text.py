"""Text: prompts to the text encoders' embeddings, cached by token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.repository import T5
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.embeddings import TextEmbeddings
from orchestrator.stages.models import Models


async def encode_texts(
    prompts: Sequence[str], models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> list[TextEmbeddings]:
    """Returns prompts as the pipeline's models read them. All encoders read all prompts concurrently."""

    async def run(prompt: str, role: str) -> Mapping[str, npt.NDArray[Any]]:
        ids = tokenizers.of(models.pipeline, role).ids(prompt)
        fingerprint = models.fingerprint(role)
        return await lookups.arrays("text", fingerprint, {"ids": ids}, lambda: models.one(role, input_ids=ids))

    states, pooled = models.pipeline.states_roles, models.pipeline.pooled_roles
    pairs = [(prompt, role) for prompt in prompts for role in dict.fromkeys([*states, *pooled])]
    outputs = dict(zip(pairs, await gather(*(run(*pair) for pair in pairs)), strict=True))
    return [
        TextEmbeddings(
            joined_states({role: outputs[prompt, role]["hidden_states"] for role in states}),
            np.concatenate([outputs[prompt, role]["text_embeds"] for role in pooled]) if pooled else None,
        )
        for prompt in prompts
    ]


def joined_states(states: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The states [T, D] of a pipeline's text encoders as one sequence.

    Those of the CLIP encoders are concatenated along their features, the smaller encoder's first (SDXL: Podell et al.
    2023, §2.1). If there are T5's too, CLIP's are padded with zeros to T5's width and come before them in the
    sequence (Stable Diffusion 3: Esser et al. 2024, §B.3).
    """
    clip = [value for role, value in states.items() if role != T5]
    joined = [np.concatenate(clip, axis=-1)] if clip else []
    if T5 in states:
        missing = states[T5].shape[-1] - (joined[0].shape[-1] if joined else 0)
        joined = [np.pad(value, ((0, 0), (0, missing))) for value in joined] + [states[T5]]
    return joined[0] if len(joined) == 1 else np.concatenate(joined)
