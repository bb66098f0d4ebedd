"""The schedule's description as read from JSON, and the timesteps of each spacing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from orchestrator.sampler import FlowConfig, ScheduleConfig, State, make_solver, read_schedule
from orchestrator.sampler.flow_euler import flow_sigmas
from orchestrator.sampler.schedule import alphas_cumprod, integer_timesteps, sigmas, timesteps

JSON: Mapping[str, object] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}

NOISE = State(np.zeros((4, 2, 2), np.float32), index=0)


def config(**changes: object) -> ScheduleConfig:
    return ScheduleConfig.from_json({**JSON, **changes})


def test_a_schedule_is_read_from_json() -> None:
    assert config() == ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "v_prediction", "trailing", 1)
    without = {key: value for key, value in JSON.items() if key != "steps_offset"}
    assert ScheduleConfig.from_json(without).steps_offset == 0


def test_a_solver_has_its_own_values_over_the_common_ones() -> None:
    schedule = config(solvers={"ddim": {"timestep_spacing": "leading", "clip_sample_range": 1.0}})
    assert schedule.of("euler") is schedule
    assert schedule.of("ddim") == config(timestep_spacing="leading", clip_sample_range=1.0)
    first = {name: make_solver(name, schedule, 10).model_input(NOISE)[1] for name in ("euler", "ddim")}
    assert first == {"euler": 999.0, "ddim": 901.0}
    assert config(clip_sample_range=None) == config()


def test_an_unknown_key_of_a_solver_is_named() -> None:
    with pytest.raises(ValueError, match="use_karras_sigmas is not a key"):
        config(solvers={"ddim": {"use_karras_sigmas": True}})


@pytest.mark.parametrize("key", [key for key in JSON if key != "steps_offset"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} is missing"):
        ScheduleConfig.from_json({name: value for name, value in JSON.items() if name != key})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_train_timesteps", 1),
        ("num_train_timesteps", "1000"),
        ("num_train_timesteps", True),
        ("num_train_timesteps", 1000.0),
        ("beta_schedule", "sigmoid"),
        ("beta_schedule", None),
        ("beta_start", 0.0),
        ("beta_start", float("nan")),
        ("beta_end", 0.0001),
        ("beta_end", "0.1"),
        ("prediction_type", "flow_prediction"),
        ("timestep_spacing", "karras"),
        ("steps_offset", -1),
        ("set_alpha_to_one", 1),
        ("rescale_betas_zero_snr", "yes"),
        ("trained_betas", 0.1),
        ("trained_betas", [0.1]),
        ("trained_betas", ["0.1"] * 1000),
        ("trained_betas", [2.0] * 1000),
        ("clip_sample_range", 0.0),
        ("sigma_spacing", "even"),
        ("sigma_min", -1.0),
        ("sigma_max", float("inf")),
        ("timestep_type", "rounded"),
        ("final_sigmas_type", "sigma_max"),
        ("euler_at_final", None),
        ("solvers", ["ddim"]),
    ],
)
def test_a_wrong_value_or_an_unknown_key_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        config(**{key: value})


FLOW: Mapping[str, object] = {"num_train_timesteps": 1000, "prediction_type": "flow", "shift": 3.0}


def test_the_two_kinds_of_schedule_are_told_apart() -> None:
    assert read_schedule(JSON) == config()
    assert read_schedule(FLOW) == FlowConfig(1000, "flow", 3.0)
    assert read_schedule({"num_train_timesteps": 500, "prediction_type": "flow"}) == FlowConfig(500, "flow", 1.0)
    assert read_schedule({**FLOW, "shift": 2}) == FlowConfig(1000, "flow", 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_train_timesteps", 1),
        ("num_train_timesteps", 10.5),
        ("shift", 0.0),
        ("shift", -1.0),
        ("shift", float("nan")),
        ("shift", float("inf")),
        ("shift", "3"),
        ("sigma_spacing", "lu"),
        ("beta_start", 0.1),
    ],
)
def test_a_wrong_value_of_a_flow_is_named(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        read_schedule({**FLOW, key: value})


def test_a_flow_is_visited_from_pure_noise_to_clean() -> None:
    for shift in (0.5, 1.0, 3.0):
        sigmas_visited = flow_sigmas(FlowConfig(1000, "flow", shift), 10)
        assert sigmas_visited.dtype == np.float32
        assert len(sigmas_visited) == 11
        assert (sigmas_visited[0], sigmas_visited[-1]) == (1, 0)
        assert np.all(np.diff(sigmas_visited) < 0)
    straight, shifted = (flow_sigmas(FlowConfig(1000, "flow", shift), 10) for shift in (1.0, 3.0))
    assert np.all(shifted[1:-1] > straight[1:-1])


def test_the_noise_levels_fall_and_are_shared_read_only() -> None:
    for schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        alpha_bar = alphas_cumprod(config(beta_schedule=schedule))
        assert alpha_bar.dtype == np.float32
        assert np.all(np.diff(alpha_bar) < 0)
        assert not alpha_bar.flags.writeable
        assert np.all(np.diff(sigmas(config(beta_schedule=schedule))) > 0)
    assert alphas_cumprod(config()) is alphas_cumprod(config())


def test_table_2_of_lin_et_al() -> None:
    assert timesteps(config(timestep_spacing="trailing"), 5).tolist() == [999, 799, 599, 399, 199]
    assert timesteps(config(timestep_spacing="leading"), 5).tolist() == [801, 601, 401, 201, 1]
    assert timesteps(config(timestep_spacing="linspace"), 5).tolist() == [999, 749.25, 499.5, 249.75, 0]
    assert integer_timesteps(config(timestep_spacing="linspace"), 5, points=6).tolist() == [999, 799, 599, 400, 200]


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_every_number_of_steps_gives_that_many_falling_timesteps(spacing: str) -> None:
    schedule = config(timestep_spacing=spacing, steps_offset=0)
    for steps in range(1, 501):
        visited = integer_timesteps(schedule, steps)
        assert len(visited) == steps
        assert 0 <= visited[-1] <= visited[0] <= 999
        assert np.all(np.diff(visited) < 0)


def test_steps_that_leave_the_range_or_fall_together_are_refused() -> None:
    with pytest.raises(ValueError, match="steps: leading spacing with offset 1"):
        timesteps(config(timestep_spacing="leading"), 1000)
    with pytest.raises(ValueError, match="ask for fewer steps"):
        integer_timesteps(config(timestep_spacing="linspace"), 1000, points=1001)
