"""The rows of a step: what each carries, by what the pipeline's denoiser takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.cache.lookups import RequestLookups
from orchestrator.domain import Window
from orchestrator.stages.denoise import GuidedDenoiser
from orchestrator.stages.encode import encode
from orchestrator.stages.models import Models
from orchestrator.stages.prepare import prepare
from tests.orchestrator.small import (
    DENOISERS,
    TOKENS,
    Array,
    DictCache,
    FunctionModels,
    job,
    pipeline_spec,
    style,
    tokenizers,
)

SAMPLE = np.zeros((4, 8, 8), np.float32)


async def rows_of(folder: Path, step: int = 0, **changes: Any) -> dict[str, Array]:
    """What a step sends to the denoiser."""
    asked, functions = job(**changes), FunctionModels()
    models, lookups = Models(asked.pipeline, functions, "id"), RequestLookups(DictCache())
    conditioning = await encode(asked, models, tokenizers(folder)[1], lookups)
    denoiser = GuidedDenoiser(asked, models, conditioning, await prepare(asked, models, lookups))
    await denoiser(SAMPLE, 500.0, step, asked.steps)
    return dict(functions.inputs[asked.pipeline.models["denoiser"].name])


@pytest.mark.parametrize(
    ("pipeline", "model"),
    [("small", "denoiser"), ("small-style", "denoiser_style"), ("small-flow", "denoiser_flow")],
)
async def test_a_denoiser_gets_exactly_what_it_takes(tmp_path: Path, pipeline: str, model: str) -> None:
    rows = await rows_of(tmp_path, pipeline=pipeline)
    assert set(rows) == set(DENOISERS[model])
    assert {len(value) for value in rows.values()} == {2}
    for spec in pipeline_spec(pipeline).models["denoiser"].inputs:
        assert rows[spec.name].dtype == {"FP32": np.float32, "INT64": np.int64}[spec.dtype]
    assert rows["timestep"].tolist() == [[500.0], [500.0]]


async def test_style_is_in_the_positive_row_alone(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style", style=style((230, 150, 60)), image_scale=0.5)
    assert rows["image_scale"].tolist() == [[0.5], [0.0]]
    assert rows["image_tokens"].shape == (2, *TOKENS)
    assert rows["image_tokens"][0].any()
    assert not rows["image_tokens"][1].any()


async def test_without_guidance_the_only_row_has_the_style(tmp_path: Path) -> None:
    asked = {"pipeline": "small-style", "style": style((230, 150, 60)), "image_scale": 1.5, "guidance_scale": 1.0}
    rows = await rows_of(tmp_path, **asked)
    assert rows["image_scale"].tolist() == [[1.5]]
    assert rows["image_tokens"].shape == (1, *TOKENS)


async def test_without_style_tokens_and_scale_are_zeros(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style")
    assert rows["image_tokens"].shape == (2, *TOKENS)
    assert not rows["image_tokens"].any()
    assert not rows["image_scale"].any()


async def test_a_request_that_names_no_adapter_gets_row_0(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style")
    assert rows["adapter"].tolist() == [[0], [0]]
    assert rows["adapter_scale"].tolist() == [[0.0], [0.0]]
    assert rows["adapter"].dtype == np.int64


async def test_outside_the_guidance_window_the_only_row_is_the_prompts(tmp_path: Path) -> None:
    asked = {"pipeline": "small-style", "style": style((230, 150, 60)), "steps": 4, "guidance_window": Window(0.0, 0.5)}
    inside, outside = [await rows_of(tmp_path / str(step), step=step, **asked) for step in (1, 2)]
    assert {len(value) for value in inside.values()} == {2}
    assert {len(value) for value in outside.values()} == {1}
    assert np.array_equal(outside["encoder_hidden_states"][0], inside["encoder_hidden_states"][0])
    assert np.array_equal(outside["image_tokens"][0], inside["image_tokens"][0])
