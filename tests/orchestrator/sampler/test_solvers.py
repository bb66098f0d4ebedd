"""Every solver against diffusers, against the golden trajectories, and as a value that can be set aside and redone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from orchestrator.sampler import (
    FLOW_SOLVERS,
    SOLVERS,
    FlowConfig,
    NoiseStream,
    Schedule,
    ScheduleConfig,
    Solver,
    State,
    make_solver,
)
from tests.orchestrator.sampler import against_diffusers as reference

CONFIG = ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "v_prediction", "trailing", 1)
FLOW = FlowConfig(1000, "flow", 3.0)
# Every solver on a schedule of its kind.
SCHEDULES: dict[str, Schedule] = {**dict.fromkeys(SOLVERS, CONFIG), **dict.fromkeys(FLOW_SOLVERS, FLOW)}


@pytest.mark.parametrize("name", SCHEDULES)
def test_whole_trajectories_stay_within_1e_5_of_diffusers(name: str) -> None:
    pytest.importorskip("diffusers")
    worst = max((reference.worst_of(case), str(case)) for case in reference.cases() if case.solver == name)
    assert worst[0] <= 1e-5, worst


@pytest.mark.parametrize("name", SCHEDULES)
def test_nothing_differs_once_torch_rounds_correctly(name: str) -> None:
    pytest.importorskip("diffusers")
    with reference.correctly_rounded():
        differences = [
            (reference.worst_of(case, clean=True), str(case))
            for case in reference.cases()
            if case.solver == name and case.steps in (2, 5)
        ]
    # DDPM of diffusers adds noise of deviation 1e-10 on its last step; ours adds none. PNDM of diffusers multiplies by
    # a rounded 1/24 where ours divides.
    assert max(differences)[0] <= (1e-6 if name == "pndm" else 1e-9), max(differences)


@pytest.mark.parametrize("case", list(reference.golden_cases()), ids=str)
def test_the_golden_trajectories_are_reproduced(case: reference.Case) -> None:
    with np.load(reference.GOLDEN) as golden:
        expected = golden[str(case)]
    for point, sample in zip(reference.ours(case), expected, strict=True):
        assert reference.difference(point.sample, sample) <= 1e-6


# Every spacing and every prediction once, all with steps that leave a first, a middle and a last one to begin at.
BEGINNINGS = [
    ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "v_prediction", "trailing", 1),
    ScheduleConfig(1000, "scaled_linear", 0.00085, 0.012, "epsilon", "leading", 1),
    ScheduleConfig(1000, "linear", 0.0001, 0.02, "sample", "linspace", 0),
]


def beginnings(name: str) -> list[reference.Case]:
    configs = [FLOW] if name in FLOW_SOLVERS else BEGINNINGS
    if name == "pndm":
        configs = [config for config in BEGINNINGS if config.prediction_type == "epsilon"]
    return [reference.Case(name, config, 8) for config in configs]


@pytest.mark.parametrize("at", [0, 3, 7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_known_latents_are_noised_as_diffusers_does_before_any_step(name: str, at: int) -> None:
    """Every solver has its counterpart in diffusers, so none is skipped."""
    pytest.importorskip("diffusers")
    for case in beginnings(name):
        scheduler = reference.scheduler_of(case)
        scheduler.set_timesteps(case.steps)
        state = make_solver(name, case.config, case.steps).begin(
            NoiseStream(reference.SEED).initial(reference.SHAPE), reference.known_latents(), at
        )
        assert (state.index, state.predicted_clean, state.history) == (at, None, ())
        assert state.sample.dtype == np.float32
        assert reference.difference(state.sample, reference.noised(scheduler, at).numpy()) <= 1e-6, str(case)


@pytest.mark.parametrize("at", [0, 3, 7])
@pytest.mark.parametrize("name", SCHEDULES)
def test_trajectories_from_known_latents_stay_within_1e_5_of_diffusers(name: str, at: int) -> None:
    pytest.importorskip("diffusers")
    worst = max((reference.worst_of(case, at=at), str(case)) for case in beginnings(name))
    assert worst[0] <= 1e-5, worst


# PNDM weighs the directions of several steps, so neither its last step nor a late beginning lands on an estimate.
LANDING = [name for name in SCHEDULES if name != "pndm"]


@pytest.mark.parametrize("name", LANDING)
def test_a_model_that_is_right_brings_the_known_latents_back(name: str) -> None:
    """Over the remaining steps alone, and whatever the noise was."""
    schedule = SCHEDULES[name]
    if isinstance(schedule, ScheduleConfig):
        schedule = dataclasses.replace(schedule, prediction_type="sample", set_alpha_to_one=True)
    solver, noise, clean = make_solver(name, schedule, 8), NoiseStream(4), reference.known_latents()
    state, calls = solver.begin(noise.initial(clean.shape), clean, 6), 0
    while state.index < solver.steps:
        output = noise.initial(clean.shape) - clean if isinstance(schedule, FlowConfig) else clean
        state, calls = solver.step(state, output, noise.at_step(state.index, clean.shape)), calls + 1
    assert calls == 2
    # LCM mixes a little of its noisy sample into each estimate.
    np.testing.assert_allclose(state.sample, clean, atol=1e-2 if name == "lcm" else 1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_trajectory_without_steps_is_what_it_began_with(name: str) -> None:
    solver, clean = make_solver(name, SCHEDULES[name], 8), reference.known_latents()
    state = solver.begin(NoiseStream(4).initial(clean.shape), clean, solver.steps)
    assert state.index == solver.steps
    assert (state.sample == clean).all()


@pytest.mark.parametrize(
    ("shape", "at", "words"),
    [
        ((4, 4, 4), 7, "none can begin after 7"),
        ((4, 4, 4), -1, "none can begin after -1"),
        ((4, 4, 5), 0, "shape"),
        (None, 1, "pure noise begins at step 0"),
    ],
)
def test_impossible_beginnings_are_refused(shape: tuple[int, ...] | None, at: int, words: str) -> None:
    start = None if shape is None else np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=words):
        make_solver("ddim", CONFIG, 6).begin(np.zeros((4, 4, 4), np.float32), start, at)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_can_be_redone_and_a_trajectory_set_aside(name: str) -> None:
    noise = NoiseStream(3)
    shape = (4, 6, 6)
    solver = make_solver(name, SCHEDULES[name], 6)
    fresh = [noise.at_step(i, shape) for i in range(solver.steps)]

    def advance(solver: Solver, state: State) -> State:
        model_input, timestep = solver.model_input(state)
        return solver.step(state, reference.stand_in(model_input, timestep), fresh[state.index])

    straight = solver.begin(noise.initial(shape))
    kept = []
    for _ in range(solver.steps):
        kept.append(straight)
        straight = advance(solver, straight)
    # Another solver object, as on another replica of the orchestrator, goes on from the third boundary.
    resumed = kept[3]
    other = make_solver(name, SCHEDULES[name], 6)
    while resumed.index < other.steps:
        advance(solver, resumed)
        resumed = advance(other, resumed)
    assert resumed.sample.tobytes() == straight.sample.tobytes()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_row_does_not_depend_on_the_other_rows(name: str) -> None:
    noise = NoiseStream(5)
    shape = (3, 4, 5, 5)
    solver = make_solver(name, SCHEDULES[name], 4)
    batch = solver.begin(noise.initial(shape))
    alone = solver.begin(noise.initial(shape)[1])
    for i in range(4):
        prediction, fresh = np.tanh(batch.sample), noise.at_step(i, shape)
        batch = solver.step(batch, prediction, fresh)
        alone = solver.step(alone, prediction[1], fresh[1])
    assert batch.sample[1].tobytes() == alone.sample.tobytes()


@pytest.mark.parametrize("name", SCHEDULES)
def test_arguments_are_not_changed_and_results_are_float32(name: str) -> None:
    noise = NoiseStream(1).initial((1, 4, 4, 4))
    noise.flags.writeable = False
    solver = make_solver(name, SCHEDULES[name], 3)
    state = solver.begin(noise)
    assert state.predicted_clean is None
    while state.index < solver.steps:
        model_input, timestep = solver.model_input(state)
        assert isinstance(timestep, float)
        prediction = reference.stand_in(model_input, timestep)
        for array in (state.sample, prediction, *state.history):
            array.flags.writeable = False
        state = solver.step(state, prediction, noise)
        assert state.predicted_clean is not None
        assert {model_input.dtype, state.sample.dtype, state.predicted_clean.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", LANDING)
def test_the_last_step_lands_on_the_clean_estimate(name: str) -> None:
    schedule = SCHEDULES[name]
    if schedule is CONFIG:
        schedule = dataclasses.replace(CONFIG, set_alpha_to_one=True)
    solver = make_solver(name, schedule, 5)
    state = solver.begin(NoiseStream(1).initial((4, 4, 4)))
    while state.index < solver.steps:
        state = solver.step(state, np.tanh(state.sample), NoiseStream(1).at_step(state.index, (4, 4, 4)))
    assert state.predicted_clean is not None
    np.testing.assert_allclose(state.sample, state.predicted_clean, atol=1e-6)


def test_only_ddpm_and_lcm_ask_for_noise() -> None:
    asking = [name for name, schedule in SCHEDULES.items() if make_solver(name, schedule, 2).needs_noise]
    assert asking == ["ddpm", "lcm"]


@pytest.mark.parametrize("name", ["ddpm", "lcm"])
def test_noise_is_needed_but_on_the_last_step(name: str) -> None:
    solver = make_solver(name, CONFIG, 2)
    state = solver.begin(np.ones((1, 2, 2), np.float32))
    with pytest.raises(ValueError, match="needs noise"):
        solver.step(state, state.sample)
    state = solver.step(state, state.sample, np.zeros((1, 2, 2), np.float32))
    assert solver.step(state, state.sample).index == 2


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_step_too_many_or_of_another_shape_is_refused(name: str) -> None:
    solver = make_solver(name, SCHEDULES[name], 1)
    state = solver.begin(np.ones((1, 2, 2), np.float32))
    with pytest.raises(ValueError, match="shape"):
        solver.step(state, np.ones((1, 2, 3), np.float32))
    done = solver.step(state, state.sample, state.sample)
    with pytest.raises(ValueError, match="1 are done"):
        solver.step(done, state.sample, state.sample)


WRONG = [
    ("heun", CONFIG, 4, "must be one of ddim"),
    ("flow_euler", CONFIG, 4, "must be one of ddim"),
    ("ddim", FLOW, 4, "must be one of flow_euler"),
    ("ddim", CONFIG, 0, "steps must lie between 1 and 1000"),
    ("ddim", CONFIG, -1, "steps must lie between 1 and 1000"),
    ("euler", CONFIG, 1001, "steps must lie between 1 and 1000"),
    ("lcm", CONFIG, 0, "steps must lie between 1 and 50"),
    ("lcm", CONFIG, 51, "steps must lie between 1 and 50"),
    ("flow_euler", FLOW, 0, "steps must lie between 1 and 1000"),
    ("flow_euler", FLOW, 1001, "steps must lie between 1 and 1000"),
]


@pytest.mark.parametrize(("name", "schedule", "steps", "words"), WRONG)
def test_unknown_solvers_and_impossible_numbers_of_steps_are_refused(
    name: str, schedule: Schedule, steps: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make_solver(name, schedule, steps)


def test_lcm_visits_timesteps_that_its_model_was_distilled_at() -> None:
    visited = [make_solver("lcm", CONFIG, 4).model_input(state_at(i))[1] for i in range(4)]
    assert visited == [999, 759, 499, 259]
    distilled = set(range(19, 1000, 20))
    for steps in range(1, 51):
        visited = [make_solver("lcm", CONFIG, steps).model_input(state_at(i))[1] for i in range(steps)]
        assert set(visited) <= distilled
        assert sorted(visited, reverse=True) == visited
        assert len(set(visited)) == steps


def test_a_flow_that_is_right_arrives_in_one_step() -> None:
    clean, noise = np.full((4, 4, 4), 0.7, np.float32), NoiseStream(2).initial((4, 4, 4))
    for steps in (1, 4, 7):
        solver = make_solver("flow_euler", FLOW, steps)
        state = solver.begin(noise)
        assert solver.model_input(state)[1] == 1000.0
        while state.index < steps:
            state = solver.step(state, noise - clean)
            assert state.predicted_clean is not None
            np.testing.assert_allclose(state.predicted_clean, clean, atol=1e-5)
        np.testing.assert_allclose(state.sample, clean, atol=1e-5)


def state_at(index: int) -> State:
    return State(sample=np.zeros((1, 2, 2), np.float32), index=index)
