"""The sampling loop: which rows each step sends, how they are combined, and when the loop stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backdrop.contract.parts import Window
from orchestrator.request import Request
from orchestrator.sampler import NoiseStream, State, combine, make_solver
from orchestrator.stages.denoise import GuidedDenoiser, denoise
from tests.orchestrator.small import DENOISERS, Array, FunctionModels, request, style
from tests.orchestrator.stages.running import inputs_of, models_of

SAMPLE = np.zeros((4, 8, 8), np.float32)


async def denoiser_of(request_: Request, functions: FunctionModels, folder: Path) -> GuidedDenoiser:
    models = models_of(request_, functions)
    return GuidedDenoiser(request_.parts.sampling, models, await inputs_of(request_, models, folder))


async def rows_of(folder: Path, step: int = 0, **changes: Any) -> dict[str, Array]:
    """What a step sends to the denoiser."""
    request_, functions = request(**changes), FunctionModels()
    denoiser = await denoiser_of(request_, functions, folder)
    await denoiser(SAMPLE, 500.0, step, request_.parts.sampling.steps)
    return dict(functions.inputs[request_.pipeline.models["denoiser"].name])


@pytest.mark.parametrize(
    ("pipeline", "model"),
    [("small", "denoiser"), ("small-style", "denoiser_style"), ("small-flow", "denoiser_flow")],
)
async def test_a_step_sends_exactly_what_the_denoiser_takes(tmp_path: Path, pipeline: str, model: str) -> None:
    rows = await rows_of(tmp_path, pipeline=pipeline)
    assert set(rows) == set(DENOISERS[model])
    assert {len(value) for value in rows.values()} == {2}
    assert rows["timestep"].tolist() == [[500.0], [500.0]]
    assert rows["timestep"].dtype == rows["sample"].dtype == np.float32


async def test_outside_the_guidance_window_the_only_row_is_the_prompts(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"style": style((230, 150, 60)), "steps": 4, "guidance_window": Window(0.0, 0.5)}
    inside, outside = [
        await rows_of(tmp_path / str(step), step=step, pipeline="small-style", **changes) for step in (1, 2)
    ]
    assert {len(value) for value in inside.values()} == {2}
    assert {len(value) for value in outside.values()} == {1}
    assert np.array_equal(outside["encoder_hidden_states"][0], inside["encoder_hidden_states"][0])
    assert np.array_equal(outside["image_tokens"][0], inside["image_tokens"][0])


async def test_two_rows_are_combined_by_the_guidance_scale(tmp_path: Path) -> None:
    request_, functions = request(guidance_scale=2.5), FunctionModels()
    denoiser = await denoiser_of(request_, functions, tmp_path)
    combined = await denoiser(SAMPLE, 500.0, 0, 4)
    inputs = functions.inputs["denoiser"]
    rows = (await functions("denoiser", inputs, request_id="id"))["noise_pred"]
    assert not np.array_equal(rows[0], rows[1])
    assert np.array_equal(combined, combine(rows[0], rows[1], 2.5))


async def test_the_loop_stops_where_it_is_told_and_goes_on_from_there(tmp_path: Path) -> None:
    request_ = request(steps=6, scheduler="ddpm")
    denoiser = await denoiser_of(request_, FunctionModels(), tmp_path)
    solver = make_solver("ddpm", request_.pipeline.schedule, 6)
    noise, taken = NoiseStream(7), []

    async def run(state: State, until: int) -> State:
        return await denoise(denoiser, solver, noise, state, until, lambda state: taken.append(state.index))

    begin = solver.begin(noise.initial((4, 8, 8)))
    whole = await run(begin, 6)
    assert taken == [1, 2, 3, 4, 5, 6]
    halfway = await run(begin, 2)
    assert (halfway.index, taken[6:]) == (2, [1, 2])
    resumed = await run(halfway, 6)
    assert np.array_equal(resumed.sample, whole.sample), "noise of a step depends on the step alone"


async def test_the_last_step_says_that_none_follows(tmp_path: Path) -> None:
    request_, said = request(steps=3), []

    class Listening(FunctionModels):
        async def __call__(self, model: str, inputs: Any, *, again: bool = False, **named: Any) -> dict[str, Array]:
            if model == "denoiser":
                said.append(again)
            return await super().__call__(model, inputs, again=again, **named)

    denoiser = await denoiser_of(request_, Listening(), tmp_path)
    solver, noise = make_solver("ddim", request_.pipeline.schedule, 3), NoiseStream(1)
    await denoise(denoiser, solver, noise, solver.begin(noise.initial((4, 8, 8))), 3, lambda state: None)
    assert said == [True, True, False]
