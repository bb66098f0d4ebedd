"""Encode: prompts and style pictures to what the denoiser is conditioned on."""

from __future__ import annotations

from orchestrator.cache.lookups import RequestLookups
from orchestrator.concurrency import both
from orchestrator.domain import Job
from orchestrator.repository.tokenize import PromptTokenizers
from orchestrator.stages.models import Conditioning, Models
from orchestrator.stages.style import encode_style
from orchestrator.stages.text import encode_texts


async def encode(job: Job, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups) -> Conditioning:
    """Returns the job's conditioning; the negative prompt is encoded only where guidance reads it."""
    prompts = [job.prompt, job.negative_prompt] if job.guided else [job.prompt]
    read = encode_texts(prompts, job, models, tokenizers, lookups)
    # Where there is only one thing to do it is done here: tasks cost more than a look-up in memory.
    texts, image_tokens = await both(read, encode_style(job, models, lookups)) if job.style else (await read, None)
    return Conditioning(texts[0], texts[1] if job.guided else None, image_tokens, job.image_scale)
