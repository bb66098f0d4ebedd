"""Whole trajectories of our solvers compared with diffusers' schedulers, for every configuration offered.

Both sides run freely from the same noise, each feeding its own samples to the same nonlinear stand-in for a model,
so errors may add up as they would in a picture. Run as a module, it rewrites the golden trajectories.

The remaining difference is torch's arithmetic: its float32 square root, logarithm and exponential are not
correctly rounded on x86 (one root in five is a unit off). Where ᾱ is small, predicting epsilon divides that unit by
√ᾱ, 0.006 on the linear schedule, and the clean estimate moves by 1e-5 and more. `correctly_rounded` takes the cause
away: inside it the two sides agree to the last bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from orchestrator.sampler import (
    FLOW_SOLVERS,
    SOLVERS,
    Array,
    FlowConfig,
    NoiseStream,
    Schedule,
    ScheduleConfig,
    Solver,
    make_solver,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "solver_trajectories.npz"
SHAPE = (1, 4, 4, 4)
STEPS = (1, 2, 5, 20, 50)
# How far a flow's σ are moved towards noise; 3 is Stable Diffusion 3's.
SHIFTS = (1.0, 1.5, 3.0)
SEED = 20260105

# (beta schedule, first and last beta): Ho et al. 2020, Stable Diffusion, Nichol & Dhariwal 2021.
BETAS = (("linear", 0.0001, 0.02), ("scaled_linear", 0.00085, 0.012), ("squaredcos_cap_v2", 0.0001, 0.02))


@dataclasses.dataclass(frozen=True)
class Case:
    """One trajectory."""

    solver: str
    config: Schedule
    steps: int

    def __str__(self) -> str:
        config = self.config
        if isinstance(config, FlowConfig):
            return f"{self.solver}-shift{config.shift:g}-{self.steps}"
        final = "-to_one" if config.set_alpha_to_one else ""
        return (
            f"{self.solver}-{config.beta_schedule}-{config.prediction_type}-{config.timestep_spacing}"
            f"+{config.steps_offset}{final}-{self.steps}"
        )


@dataclasses.dataclass(frozen=True)
class Point:
    """What one step of a trajectory consists of; `clean` is None where diffusers does not tell it."""

    timestep: float
    model_input: Array
    sample: Array
    clean: Array | None


def cases() -> Iterator[Case]:
    """Yields every solver × beta schedule × prediction type × spacing × offset × steps, and for flows × shift × steps.

    DDIM comes with both last alphas; LCM chooses its timesteps itself, so there one spacing stands for all.
    """
    predictions = ("epsilon", "v_prediction", "sample")
    spacings = (("leading", 0), ("leading", 1), ("trailing", 0), ("linspace", 0))
    for solver, betas, prediction, spacing, steps in itertools.product(SOLVERS, BETAS, predictions, spacings, STEPS):
        if solver == "lcm" and spacing[0] != "trailing":
            continue
        if solver == "pndm" and prediction != "epsilon":
            continue
        for to_one in (False, True) if solver in ("ddim", "pndm") else (False,):
            yield Case(solver, ScheduleConfig(1000, *betas, prediction, *spacing, set_alpha_to_one=to_one), steps)
    for solver, shift, steps in itertools.product(FLOW_SOLVERS, SHIFTS, STEPS):
        yield Case(solver, FlowConfig(1000, "flow", shift), steps)


def stand_in(sample: Array, timestep: float) -> Array:
    """A deterministic nonlinear stand-in for a denoiser; float32 in and out."""
    bent: Array = np.tanh(sample + np.float32(timestep / 1000))
    return bent


def known_latents() -> Array:
    """Clean latents that a trajectory can begin with."""
    return np.tanh(NoiseStream(SEED + 1).initial(SHAPE))


def ours(case: Case, at: int | None = None) -> list[Point]:
    """Runs one trajectory with our solver, from pure noise or, from step `at`, from known latents."""
    return trajectory(make_solver(case.solver, case.config, case.steps), at)


def trajectory(solver: Solver, at: int | None = None) -> list[Point]:
    """Runs one of our solvers."""
    noise = NoiseStream(SEED)
    initial = noise.initial(SHAPE)
    state = solver.begin(initial) if at is None else solver.begin(initial, known_latents(), at)
    points = []
    for i in range(state.index, solver.steps):
        model_input, timestep = solver.model_input(state)
        fresh = noise.at_step(i, SHAPE) if solver.needs_noise else None
        state = solver.step(state, stand_in(model_input, timestep), fresh)
        points.append(Point(timestep, model_input, state.sample, state.predicted_clean))
    return points


def noised(scheduler: Any, at: int) -> Any:
    """The known latents with noise for step `at`, as diffusers adds it from image to image; `scheduler` goes there."""
    import torch

    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(at)
    start, noise = torch.from_numpy(known_latents()), torch.from_numpy(NoiseStream(SEED).initial(SHAPE))
    timestep = scheduler.timesteps[at : at + 1]
    # The scheduler of flows has another name for it, and another order of arguments.
    if hasattr(scheduler, "scale_noise"):
        return scheduler.scale_noise(start, timestep, noise)
    return scheduler.add_noise(start, noise, timestep)


def theirs(case: Case, at: int | None = None) -> list[Point]:
    """Runs the same trajectory with diffusers' scheduler, as its pipelines do."""
    return reference_trajectory(scheduler_of(case), case.steps, at)


def reference_trajectory(scheduler: Any, steps: int, at: int | None = None) -> list[Point]:
    """Runs one of diffusers' schedulers."""
    import torch

    scheduler.set_timesteps(steps)
    noise = NoiseStream(SEED)
    if at is None:
        # Flows begin with the noise itself and feed the sample as it is: their scheduler has neither of the two.
        sample = torch.from_numpy(noise.initial(SHAPE)) * getattr(scheduler, "init_noise_sigma", 1.0)
    else:
        sample = noised(scheduler, at)
    scale = getattr(scheduler, "scale_model_input", lambda sample, _: sample)
    points = []
    for i, timestep in list(enumerate(scheduler.timesteps))[at:]:
        model_input = scale(sample, timestep)
        prediction = torch.from_numpy(stand_in(model_input.numpy(), float(timestep)))
        fresh = torch.from_numpy(noise.at_step(i, SHAPE))
        with drawing(fresh):
            result = scheduler.step(prediction, timestep, sample)
        sample = result.prev_sample
        clean = getattr(result, "pred_original_sample", getattr(result, "denoised", None))
        clean = None if clean is None else clean.numpy()
        points.append(Point(float(timestep), model_input.numpy(), sample.numpy(), clean))
    return points


@contextlib.contextmanager
def drawing(fresh: Any) -> Iterator[None]:
    """Within this context diffusers' schedulers draw the given noise."""
    from diffusers.schedulers import scheduling_ddpm, scheduling_lcm

    with (
        mock.patch.object(scheduling_ddpm, "randn_tensor", return_value=fresh),
        mock.patch.object(scheduling_lcm, "randn_tensor", return_value=fresh),
    ):
        yield


def scheduler_of(case: Case) -> Any:
    """Returns diffusers' scheduler for a case."""
    import diffusers

    keys = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end", "prediction_type", "timestep_spacing")
    config = {key: getattr(case.config, key, None) for key in (*keys, "steps_offset")}
    to_one = getattr(case.config, "set_alpha_to_one", False)
    if isinstance(case.config, FlowConfig):
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(case.config.num_train_timesteps, case.config.shift)
    elif case.solver == "ddim":
        scheduler = diffusers.DDIMScheduler(**config, clip_sample=False, set_alpha_to_one=to_one)
    elif case.solver == "euler":
        scheduler = diffusers.EulerDiscreteScheduler(**config)
    elif case.solver == "dpmpp_2m":
        scheduler = diffusers.DPMSolverMultistepScheduler(**config, algorithm_type="dpmsolver++", solver_order=2)
    elif case.solver == "lcm":
        scheduler = diffusers.LCMScheduler(**config)
    elif case.solver == "pndm":
        scheduler = diffusers.PNDMScheduler(**config, skip_prk_steps=True, set_alpha_to_one=to_one)
    else:
        scheduler = diffusers.DDPMScheduler(**config, clip_sample=False, variance_type="fixed_small")
    return scheduler


@contextlib.contextmanager
def correctly_rounded() -> Iterator[None]:
    """Within this context torch's float32 square root, log and exp are rounded once, from float64."""
    import torch

    power = torch.Tensor.__pow__

    def rounded_power(base: Any, exponent: Any) -> Any:
        is_root = isinstance(exponent, float) and exponent == 0.5
        return torch.sqrt(base.double()).to(base.dtype) if is_root else power(base, exponent)

    log, exp = torch.log, torch.exp
    with (
        mock.patch.object(torch.Tensor, "__pow__", rounded_power),
        mock.patch.object(torch.Tensor, "sqrt", lambda x: torch.sqrt(x.double()).to(x.dtype)),
        mock.patch.object(torch, "log", lambda x: log(x.double()).to(x.dtype)),
        mock.patch.object(torch, "exp", lambda x: exp(x.double()).to(x.dtype)),
    ):
        yield


def difference(a: Array, b: Array) -> float:
    """Returns the largest |a − b| relative to max(1, |b|); infinite where one of them is not finite."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    wide = b.astype(np.float64)
    return float((np.abs(a.astype(np.float64) - wide) / np.maximum(1, np.abs(wide))).max())


def worst_of(case: Case, *, clean: bool = False, at: int | None = None) -> float:
    """Returns the largest difference of any model input or sample, and with `clean` of any clean estimate, in one case.

    Infinite if the two sides visit other timesteps.
    """
    own, other = ours(case, at), theirs(case, at)
    return worst_difference_of(own, other, clean=clean)


def worst_difference_of(own: Sequence[Point], other: Sequence[Point], *, clean: bool = False) -> float:
    """Returns the largest difference of two trajectories; infinite if they visit other timesteps."""
    # Fractions of timesteps come from logarithms; a thousandth of one moves no model.
    pairs = zip(own, other, strict=False)
    if len(own) != len(other) or any(abs(mine.timestep - its.timestep) > 1e-3 for mine, its in pairs):
        return float("inf")
    worst = 0.0
    for mine, reference in zip(own, other, strict=True):
        worst = max(worst, difference(mine.model_input, reference.model_input))
        worst = max(worst, difference(mine.sample, reference.sample))
        if clean and reference.clean is not None and mine.clean is not None:
            worst = max(worst, difference(mine.clean, reference.clean))
    return worst


def worst_difference(*, clean: bool = False) -> tuple[float, str, int]:
    """Returns the largest difference over all configurations, the case it comes from, and how many cases there are."""
    results = [(worst_of(case, clean=clean), str(case)) for case in cases()]
    return *max(results), len(results)


def golden_cases() -> Iterator[Case]:
    """Yields the few cases whose trajectories are kept in the repository."""
    spacings = (("trailing", 0), ("leading", 1), ("linspace", 0))
    predictions = ("v_prediction", "epsilon", "sample")
    pairs = tuple(zip(spacings, predictions, strict=True))
    for solver, betas, (spacing, prediction), steps in itertools.product(SOLVERS, BETAS[1:], pairs, (5, 20)):
        if solver == "pndm" and prediction != "epsilon":
            continue
        (name, first, last), (spread, offset) = betas, spacing
        yield Case(solver, ScheduleConfig(1000, name, first, last, prediction, spread, offset), steps)
    for solver, shift, steps in itertools.product(FLOW_SOLVERS, SHIFTS, (5, 20)):
        yield Case(solver, FlowConfig(1000, "flow", shift), steps)


def write_golden() -> None:
    """Writes diffusers' samples after every step, float32 [steps, *SHAPE] a case, correctly rounded."""
    with correctly_rounded():
        arrays = {str(case): np.stack([point.sample for point in theirs(case)]) for case in golden_cases()}
    np.savez_compressed(GOLDEN, **arrays)


if __name__ == "__main__":
    write_golden()
