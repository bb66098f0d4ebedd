"""Stages over plain functions: the models of one request, and what comes before a stage under test."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cache.lookups import RequestLookups
from orchestrator.request import Request
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.stages.encode import encode
from orchestrator.stages.frames import FrameSource, PixelMemory
from orchestrator.stages.models import Infer, Models
from orchestrator.stages.prepare import prepare
from tests.orchestrator.small import DictCache, tokenizers


def models_of(request_: Request, infer: Infer) -> Models:
    """The models of a request's pipeline."""
    return Models(request_.pipeline, infer, request_.request_id)


def source_of(request_: Request, megapixels: float = 16.0) -> FrameSource:
    """Where a request's frame comes from, with pixel memory of its own."""
    memory = PixelMemory(megapixels)
    colours = request_.pipeline.conventions.hole_colours
    return FrameSource(request_.task, request_.read_input, request_.pixels_mp, memory, colours)


async def inputs_of(request_: Request, models: Models, folder: Path) -> DenoiserInputs:
    """The denoiser's inputs of a request: encoded and prepared over an empty cache."""
    lookups = RequestLookups(DictCache())
    embeddings = await encode(
        request_.parts.conditioning,
        guided=request_.parts.sampling.guided,
        models=models,
        tokenizers=tokenizers(folder)[1],
        lookups=lookups,
    )
    prepared = await prepare(source_of(request_), request_.parts.sampling, models, lookups)
    return DenoiserInputs(embeddings, prepared, models, request_.adapters)
