"""DPM-Solver++ (2M): Algorithm 2 of Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import integer_timesteps, sigmas
from orchestrator.sampler.sigmas import nearest_timesteps, spaced
from orchestrator.sampler.solver import NoiseLevels, Solver, State

# From this many steps on, diffusers takes a last step that does not end at σ = 0 with second order.
_MANY_STEPS = 15
_MARGIN = 1e-4


def _rounded(function: np.ufunc, value: Any) -> Any:
    """A float32 function rounded once, from float64.

    numpy's own float32 log and exp differ in the last bit from processor to processor, and h is a small difference
    of logarithms: the same seed would give other bytes on another node.
    """
    return function(np.asarray(value, np.float64)).astype(np.float32)


class DpmSolverPlusPlus2M(Solver):
    """The second-order multistep method in its midpoint form, for the data-prediction ODE.

    The first step of a trajectory has no history and is of first order. So is the last one if it goes to σ = 0, where
    λ is infinite: there, that means the clean estimate itself. `State.history` holds the estimate of the step before.
    """

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        trained = sigmas(config)
        timesteps, ratio = visited_levels(config, steps, trained)
        self._to_zero = config.final_sigmas_type == "zero"
        self._first_order_last = config.euler_at_final or (config.lower_order_final and steps < _MANY_STEPS)
        if not self._to_zero:
            ratio = np.append(ratio, trained[0])
        # α and σ of a variance-preserving sample, and λ = log α/σ, half the log signal-to-noise ratio.
        self._alpha = np.float32(1) / np.sqrt(ratio * ratio + np.float32(1))
        self._sigma = ratio * self._alpha
        self._lambda = _rounded(np.log, self._alpha) - _rounded(np.log, self._sigma)
        levels = NoiseLevels(timesteps, self._alpha[:steps], self._sigma[:steps])
        super().__init__(levels, VARIANCE_PRESERVING[config.prediction_type])

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """Second order where the trajectory has a step before this one."""
        clean = denoised.clean
        to_zero = self._to_zero and state.index == self.steps - 1
        sample = clean if to_zero else self._update(state, clean)
        return state.after(sample, clean, history=(clean,))

    def _update(self, state: State, clean: Array) -> Array:
        i = state.index
        h = self._lambda[i + 1] - self._lambda[i]
        # α (e^{-h} - 1): the exact integral of the linear part.
        weight = self._alpha[i + 1] * (_rounded(np.exp, -h) - np.float32(1))
        sample: Array = (self._sigma[i + 1] / self._sigma[i]) * state.sample - weight * clean
        if state.history and not (self._first_order_last and i == self.steps - 1):
            # Where the last level is visited twice, h is 0 and r infinite: the slope then counts for nothing.
            with np.errstate(divide="ignore"):
                r = (self._lambda[i] - self._lambda[i - 1]) / h
            slope = (np.float32(1) / r) * (clean - state.history[0])
            sample = sample - np.float32(0.5) * weight * slope
        return sample


def visited_levels(
    config: ScheduleConfig, steps: int, trained: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Returns the timesteps and the noise-to-signal ratio at the `steps` visited points.

    Args:
        config: the schedule.
        steps: number of model calls.
        trained: the ratio at every timestep of training.

    Raises:
        ValueError: the spacing has no `steps` different timesteps in the range.
    """
    if config.sigma_spacing == "trained":
        timesteps = integer_timesteps(config, steps, points=steps + 1)
        return timesteps, trained[timesteps]
    if not 1 <= steps <= config.num_train_timesteps:
        raise ValueError(f"steps must lie between 1 and {config.num_train_timesteps}, got {steps}")
    largest, smallest = float(trained[-1]), float(trained[0])
    # diffusers' Lu spacing has no other ends.
    if config.sigma_spacing != "lu":
        largest, smallest = config.sigma_max or largest, config.sigma_min or smallest
    ratio = spaced(config.sigma_spacing, largest, smallest, steps)
    nearest = nearest_timesteps(ratio, trained)
    if config.sigma_spacing in ("karras", "lu") and config.beta_schedule != "squaredcos_cap_v2":
        nearest = np.round(nearest)
    # Elsewhere diffusers cuts the fractions off, of timesteps that float32 logarithms leave 4e-5 too low or too high by
    # processor. The margin makes the largest level's timestep the last one on all of them.
    return np.floor(nearest + _MARGIN).astype(np.int64), ratio.astype(np.float32)
