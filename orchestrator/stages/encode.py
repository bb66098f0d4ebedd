"""Encode: prompts to the two text encoders' embeddings, cached by token ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.concurrency import gather
from orchestrator.domain import Job
from orchestrator.lookups import RequestLookups
from orchestrator.models import Conditioning, Models, TextEmbeddings
from orchestrator.tokenize import PromptTokenizers


async def encode(job: Job, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups) -> Conditioning:
    """Returns the job's conditioning; the negative prompt is encoded only where guidance reads it."""
    if not job.guided:
        return Conditioning(await _text(job.prompt, job, models, tokenizers, lookups), None)
    positive, negative = await gather(
        _text(job.prompt, job, models, tokenizers, lookups),
        _text(job.negative_prompt, job, models, tokenizers, lookups),
    )
    return Conditioning(positive, negative)


async def _text(
    prompt: str, job: Job, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups
) -> TextEmbeddings:
    async def run(role: str) -> Mapping[str, npt.NDArray[Any]]:
        ids = tokenizers.of(job.pipeline, role).ids(prompt)
        fingerprint = models.fingerprint(role)
        return await lookups.arrays("text", fingerprint, {"ids": ids}, lambda: models.one(role, input_ids=ids))

    small, large = await gather(run("text_encoder_l"), run("text_encoder_g"))
    # SDXL's order: the smaller encoder's penultimate states first, then the larger one's (Podell et al. 2023, §2.1).
    hidden_states = np.concatenate([small["hidden_states"], large["hidden_states"]], axis=-1)
    return TextEmbeddings(hidden_states, large["text_embeds"])
