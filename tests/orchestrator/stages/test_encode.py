"""Encode: what a request's conditioning becomes, and what is not encoded because nothing reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.cache.lookups import RequestLookups
from orchestrator.repository import PipelineSpec
from orchestrator.repository.conventions import Conventions, EmptyNegative, UnconditionalImage
from orchestrator.stages.embeddings import Embeddings
from orchestrator.stages.encode import encode
from orchestrator.triton.tensors import TensorSpec
from tests.orchestrator.small import (
    CLIP,
    TOKENS,
    DictCache,
    FunctionModels,
    pipeline_spec,
    request,
    style,
    tokenizers,
)
from tests.orchestrator.stages.running import models_of


class Bench:
    def __init__(self, folder: Path) -> None:
        self.functions, self.tokenizers = FunctionModels(), tokenizers(folder)[1]

    async def embed(self, **changes: Any) -> Embeddings:
        request_ = request(**{"pipeline": "small-style", **changes})
        return await encode(
            request_.parts.conditioning,
            guided=request_.parts.sampling.guided,
            models=models_of(request_, self.functions),
            tokenizers=self.tokenizers,
            lookups=RequestLookups(DictCache()),
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_guidance_reads_both_prompts(bench: Bench) -> None:
    embeddings = await bench.embed(prompt="a beach", negative_prompt="a city")
    swapped = await bench.embed(prompt="a city", negative_prompt="a beach")
    assert embeddings.negative is not None
    assert swapped.negative is not None
    assert np.array_equal(embeddings.positive.pooled, swapped.negative.pooled)
    assert np.array_equal(embeddings.negative.pooled, swapped.positive.pooled)
    assert not np.array_equal(embeddings.positive.pooled, embeddings.negative.pooled)


async def test_without_guidance_the_negative_prompt_is_not_read(bench: Bench) -> None:
    assert (await bench.embed(guidance_scale=1.0, negative_prompt="a city")).negative is None
    assert bench.functions.rows("text_encoder_g") == 1


async def test_without_style_pictures_nothing_of_style_runs(bench: Bench) -> None:
    embeddings = await bench.embed(image_scale=0.5)
    assert (embeddings.image_tokens, embeddings.image_scale) == (None, 0.0)
    assert {name for name, _ in bench.functions.calls} == {"text_encoder_l", "text_encoder_g"}


async def test_style_comes_with_its_scale(bench: Bench) -> None:
    embeddings = await bench.embed(style=style((230, 150, 60)), image_scale=0.5)
    assert embeddings.image_tokens is not None
    assert embeddings.image_tokens.shape == TOKENS
    assert embeddings.image_scale == 0.5
    assert embeddings.unconditional_tokens is None


def zeros_pipeline() -> PipelineSpec:
    """ "small-style" with diffusers' conventions and a projector that reads CLIP alone."""
    spec = pipeline_spec("small-style")
    models = {role: model for role, model in spec.models.items() if role != "image_encoder_uve"}
    clip = (TensorSpec("clip", "FP32", (CLIP,)),)
    models["image_projector"] = dataclasses.replace(models["image_projector"], inputs=clip)
    conventions = Conventions(empty_negative=EmptyNegative.ZEROS, unconditional_image=UnconditionalImage.ZEROS)
    return dataclasses.replace(spec, models=models, conventions=conventions)


ZEROS = zeros_pipeline()


async def test_zeros_stand_for_a_missing_negative_prompt_where_that_is_the_convention(bench: Bench) -> None:
    embeddings = await bench.embed(pipeline=ZEROS)
    assert embeddings.negative is not None
    assert embeddings.negative.hidden_states.shape == embeddings.positive.hidden_states.shape
    assert not embeddings.negative.hidden_states.any()
    assert not embeddings.negative.pooled.any()
    assert bench.functions.rows("text_encoder_g") == 1, "nothing is encoded for it"
    said = await bench.embed(pipeline=ZEROS, negative_prompt="a city")
    assert said.negative is not None
    assert said.negative.pooled.any(), "a negative prompt is encoded"
    encoded = await bench.embed()
    assert encoded.negative is not None
    assert encoded.negative.pooled.any(), "the default convention encodes the empty prompt"
    assert (await bench.embed(pipeline=ZEROS, guidance_scale=1.0)).negative is None


async def test_the_unconditional_row_has_the_projection_of_zeros_where_that_is_the_convention(bench: Bench) -> None:
    embeddings = await bench.embed(pipeline=ZEROS, style=style((230, 150, 60)), image_scale=0.5)
    assert embeddings.image_tokens is not None
    assert embeddings.unconditional_tokens is not None
    assert embeddings.unconditional_tokens.shape == embeddings.image_tokens.shape
    assert not bench.functions.inputs["image_projector"]["clip"].any(), "its last call"
    unguided = await bench.embed(pipeline=ZEROS, style=style((230, 150, 60)), guidance_scale=1.0)
    assert unguided.unconditional_tokens is None
    assert (await bench.embed(pipeline=ZEROS)).unconditional_tokens is None, "without a style picture"
