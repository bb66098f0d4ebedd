"""Text: prompts to the text encoders' embeddings, cached by token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import gather
from orchestrator.domain import Job
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.models import Models, TextEmbeddings

_POOLED = "text_encoder_g"


async def encode_texts(
    prompts: Sequence[str], job: Job, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> list[TextEmbeddings]:
    """Returns prompts as the pipeline's denoiser reads them; all encoders read all of them at the same time.

    The states are those of both CLIP encoders side by side, the smaller one's first (SDXL: Podell et al. 2023, §2.1),
    or those of T5 where the pipeline has one; the pooled vector is always the larger CLIP encoder's.
    """

    async def run(prompt: str, role: str) -> Mapping[str, npt.NDArray[Any]]:
        ids = tokenizers.of(job.pipeline, role).ids(prompt)
        fingerprint = models.fingerprint(role)
        return await lookups.arrays("text", fingerprint, {"ids": ids}, lambda: models.one(role, input_ids=ids))

    roles = job.pipeline.states_roles
    asked = list(dict.fromkeys([*roles, _POOLED]))
    pairs = [(prompt, role) for prompt in prompts for role in asked]
    found = dict(zip(pairs, await gather(*(run(*pair) for pair in pairs)), strict=True))
    return [
        TextEmbeddings(
            np.concatenate([found[prompt, role]["hidden_states"] for role in roles], axis=-1),
            found[prompt, _POOLED]["text_embeds"],
        )
        for prompt in prompts
    ]
