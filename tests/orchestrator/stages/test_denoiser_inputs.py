"""The rows of a step: what each carries, by what the pipeline's denoiser takes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backdrop.contract.geometry import Size
from backdrop.contract.parts import Adapter
from orchestrator.stages.denoiser_inputs import DenoiserInputs
from orchestrator.tasks.background import BACKGROUND
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from tests.orchestrator.small import DENOISERS, TOKENS, Array, FunctionModels, pipeline_spec, request, style
from tests.orchestrator.stages.running import inputs_of, models_of


async def inputs_for(folder: Path, **changes: Any) -> DenoiserInputs:
    request_ = request(**changes)
    return await inputs_of(request_, models_of(request_, FunctionModels()), folder)


async def rows_of(folder: Path, **changes: Any) -> dict[str, Array]:
    return (await inputs_for(folder, **changes)).constant_rows()


@pytest.mark.parametrize(
    ("pipeline", "model"),
    [("small", "denoiser"), ("small-style", "denoiser_style"), ("small-flow", "denoiser_flow")],
)
async def test_a_denoiser_gets_exactly_what_it_takes(tmp_path: Path, pipeline: str, model: str) -> None:
    rows = await rows_of(tmp_path, pipeline=pipeline)
    assert set(rows) == set(DENOISERS[model]) - {"sample", "timestep"}
    assert {len(value) for value in rows.values()} == {2}
    for spec in pipeline_spec(pipeline).models["denoiser"].inputs:
        if spec.name in rows:
            assert rows[spec.name].dtype == {"FP32": np.float32, "INT64": np.int64}[spec.dtype]


@pytest.mark.parametrize("name", [name for name in DENOISERS["denoiser_style"] if name not in ("sample", "timestep")])
async def test_an_input_that_the_metadata_does_not_list_is_not_sent(tmp_path: Path, name: str) -> None:
    spec = pipeline_spec("small-style")
    denoiser = spec.models["denoiser"]
    denoiser = dataclasses.replace(denoiser, inputs=tuple(each for each in denoiser.inputs if each.name != name))
    spec = dataclasses.replace(spec, models={**spec.models, "denoiser": denoiser})
    rows = await rows_of(tmp_path, pipeline=spec)
    assert set(rows) == set(DENOISERS["denoiser_style"]) - {"sample", "timestep", name}


async def test_without_known_pixels_the_rows_are_words_and_size(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, task=TEXT_TO_IMAGE, pipeline="small-text", size=Size(400, 300))
    assert set(rows) == {"encoder_hidden_states", "text_embeds", "time_ids"}
    assert rows["time_ids"].tolist() == [[48.0, 64.0, 0.0, 0.0, 48.0, 64.0]] * 2, (
        "height first, the bucket's, uncropped"
    )


async def test_known_pixels_and_mask_are_the_same_in_every_row(tmp_path: Path) -> None:
    inputs = await inputs_for(tmp_path)
    rows = inputs.constant_rows()
    assert inputs.prepared.known_latents is not None
    for row in range(2):
        assert np.array_equal(rows["masked_image_latents"][row], inputs.prepared.known_latents[0])
        assert np.array_equal(rows["mask"][row], inputs.prepared.view.latent_mask)


async def test_where_the_picture_guides_the_unconditional_row_knows_nothing_of_it(tmp_path: Path) -> None:
    followed = dataclasses.replace(BACKGROUND, rules=dataclasses.replace(BACKGROUND.rules, picture_guides=True))
    rows, others = await rows_of(tmp_path / "a", task=followed), await rows_of(tmp_path / "b")
    nothing = request(TEXT_TO_IMAGE, size=Size(64, 64))
    blank = await inputs_of(nothing, models_of(nothing, FunctionModels()), tmp_path / "c")
    for name in rows:
        assert np.array_equal(rows[name][0], others[name][0])
        if name in ("mask", "masked_image_latents"):
            assert np.array_equal(rows[name][1], blank.constant_rows()[name][0])
            assert not np.array_equal(rows[name][0], rows[name][1])
    unguided = await inputs_for(tmp_path / "d", task=followed, guidance_scale=1.0)
    assert unguided.prepared.blank_latents is None
    assert len(unguided.constant_rows()["mask"]) == 1


async def test_the_prompts_row_comes_first(tmp_path: Path) -> None:
    inputs = await inputs_for(tmp_path, prompt="a beach", negative_prompt="a city")
    rows = inputs.constant_rows()
    assert inputs.embeddings.negative is not None
    assert np.array_equal(rows["encoder_hidden_states"][0], inputs.embeddings.positive.hidden_states)
    assert np.array_equal(rows["encoder_hidden_states"][1], inputs.embeddings.negative.hidden_states)
    assert np.array_equal(rows["text_embeds"][0], inputs.embeddings.positive.pooled)
    assert not np.array_equal(rows["text_embeds"][0], rows["text_embeds"][1])


async def test_rows_are_read_only_so_that_the_wire_lays_them_out_once(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style")
    assert not any(value.flags.writeable for value in rows.values())


async def test_style_is_in_the_positive_row_alone(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style", style=style((230, 150, 60)), image_scale=0.5)
    assert rows["image_scale"].tolist() == [[0.5], [0.0]]
    assert rows["image_tokens"].shape == (2, *TOKENS)
    assert rows["image_tokens"][0].any()
    assert not rows["image_tokens"][1].any()


async def test_a_row_without_style_has_the_tokens_that_its_pipeline_gives_it(tmp_path: Path) -> None:
    inputs = await inputs_for(tmp_path, pipeline="small-style", style=style((230, 150, 60)), image_scale=0.5)
    nothing = np.full(TOKENS, 0.25, np.float32)
    embeddings = dataclasses.replace(inputs.embeddings, unconditional_tokens=nothing)
    rows = dataclasses.replace(inputs, embeddings=embeddings).constant_rows()
    assert rows["image_scale"].tolist() == [[0.5], [0.5]]
    assert np.array_equal(rows["image_tokens"][0], inputs.constant_rows()["image_tokens"][0])
    assert np.array_equal(rows["image_tokens"][1], nothing)


async def test_without_guidance_the_only_row_has_the_style(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"style": style((230, 150, 60)), "image_scale": 1.5, "guidance_scale": 1.0}
    rows = await rows_of(tmp_path, pipeline="small-style", **changes)
    assert rows["image_scale"].tolist() == [[1.5]]
    assert rows["image_tokens"].shape == (1, *TOKENS)


async def test_without_style_tokens_and_scale_are_zeros(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style")
    assert rows["image_tokens"].shape == (2, *TOKENS)
    assert not rows["image_tokens"].any()
    assert not rows["image_scale"].any()


async def test_a_request_that_names_no_adapter_gets_row_0(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style")
    assert rows["adapter"].tolist() == [[0, 0]] * 2
    assert rows["adapter_scale"].tolist() == [[0.0, 0.0]] * 2
    assert rows["adapter"].dtype == np.int64
    assert rows["adapter_scale"].dtype == np.float32


async def test_adapters_are_in_the_rows_of_both_prompts(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style", adapters=(Adapter("cold", 0.5),))
    assert rows["adapter"].tolist() == [[2, 0]] * 2
    assert rows["adapter_scale"].tolist() == [[0.5, 0.0]] * 2


async def test_slots_are_taken_in_the_order_of_the_bank(tmp_path: Path) -> None:
    rows = await rows_of(tmp_path, pipeline="small-style", adapters=(Adapter("wet", -1.5), Adapter("warm", 0.25)))
    assert rows["adapter"].tolist() == [[1, 3]] * 2
    assert rows["adapter_scale"].tolist() == [[0.25, -1.5]] * 2


async def test_a_tasks_own_adapter_has_its_weight_unless_the_request_gives_it_another(tmp_path: Path) -> None:
    spec = dataclasses.replace(pipeline_spec("small-style"), task_adapters={"text_to_image": {"wet": 0.75}})
    rows = await rows_of(tmp_path / "one", task=TEXT_TO_IMAGE, pipeline=spec, adapters=(Adapter("warm", 0.5),))
    assert rows["adapter"].tolist() == [[1, 3]] * 2
    assert rows["adapter_scale"].tolist() == [[0.5, 0.75]] * 2
    rows = await rows_of(tmp_path / "other", task=TEXT_TO_IMAGE, pipeline=spec, adapters=(Adapter("wet", 0.5),))
    assert rows["adapter_scale"].tolist() == [[0.5, 0.0]] * 2
