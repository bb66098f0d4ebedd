"""DPM-Solver++ (2M): Algorithm 2 of Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling"."""

from __future__ import annotations

from typing import Any

import numpy as np

from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import ScheduleConfig, integer_timesteps, sigmas
from orchestrator.sampler.solver import NoiseLevels, Solver, State


def _rounded(function: np.ufunc, value: Any) -> Any:
    """A float32 function rounded once, from float64.

    numpy's own float32 log and exp differ in the last bit from processor to processor, and h is a small difference
    of logarithms: the same seed would give other bytes on another node.
    """
    return function(np.asarray(value, np.float64)).astype(np.float32)


class DpmSolverPlusPlus2M(Solver):
    """The second-order multistep method in its midpoint form, for the data-prediction ODE.

    The first step of a trajectory has no history and the last one goes to σ = 0, where λ is infinite: both are first
    order, which on the last step means the clean estimate itself. `State.history` holds the estimate of the step
    before.
    """

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        timesteps = integer_timesteps(config, steps, points=steps + 1)
        ratio = sigmas(config)[timesteps]
        # α and σ of a variance-preserving sample, and λ = log α/σ, half the log signal-to-noise ratio.
        self._alpha = np.float32(1) / np.sqrt(ratio * ratio + np.float32(1))
        self._sigma = ratio * self._alpha
        self._lambda = _rounded(np.log, self._alpha) - _rounded(np.log, self._sigma)
        levels = NoiseLevels(timesteps, self._alpha, self._sigma)
        super().__init__(levels, VARIANCE_PRESERVING[config.prediction_type])

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """Second order where the trajectory has a step before this one."""
        clean = denoised.clean
        sample = clean if state.index == self.steps - 1 else self._update(state, clean)
        return state.after(sample, clean, history=(clean,))

    def _update(self, state: State, clean: Array) -> Array:
        i = state.index
        h = self._lambda[i + 1] - self._lambda[i]
        # α (e^{-h} - 1): the exact integral of the linear part.
        weight = self._alpha[i + 1] * (_rounded(np.exp, -h) - np.float32(1))
        sample: Array = (self._sigma[i + 1] / self._sigma[i]) * state.sample - weight * clean
        if state.history:
            r = (self._lambda[i] - self._lambda[i - 1]) / h
            slope = (np.float32(1) / r) * (clean - state.history[0])
            sample = sample - np.float32(0.5) * weight * slope
        return sample
