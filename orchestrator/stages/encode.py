"""Encode: prompts and style pictures to what the denoiser is conditioned on."""

from __future__ import annotations

from orchestrator.concurrency import both, gather
from orchestrator.domain import Job
from orchestrator.lookups import RequestLookups
from orchestrator.models import Conditioning, Models
from orchestrator.stages.style import encode_style
from orchestrator.stages.text import encode_text
from orchestrator.tokenize import PromptTokenizers


async def encode(job: Job, models: Models, tokenizers: PromptTokenizers, lookups: RequestLookups) -> Conditioning:
    """Returns the job's conditioning; the negative prompt is encoded only where guidance reads it."""
    prompts = [job.prompt, job.negative_prompt] if job.guided else [job.prompt]
    texts, image_tokens = await both(
        gather(*(encode_text(prompt, job, models, tokenizers, lookups) for prompt in prompts)),
        encode_style(job, models, lookups),
    )
    return Conditioning(texts[0], texts[1] if job.guided else None, image_tokens, job.image_scale)
