"""Euler's method on the probability-flow ODE: Algorithm 2 of Karras et al. 2022 without churn or correction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_EXPLODING, Array, Denoised, Prediction
from orchestrator.sampler.schedule import sigmas, timesteps
from orchestrator.sampler.sigmas import nearest_timesteps, spaced
from orchestrator.sampler.solver import NoiseLevels, Solver, State

_CLEAN = np.float32(0)


class EulerMethod(Solver):
    """dx/dσ is the direction of the denoised estimate; σ is the noise level of the sample, `final` after the last."""

    def __init__(self, levels: NoiseLevels, prediction: Prediction, final: np.float32 = _CLEAN) -> None:
        super().__init__(levels, prediction)
        self._sigmas = np.append(levels.noise, final)

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """One straight line from a level to the next."""
        sigma, sigma_next = self._sigmas[state.index], self._sigmas[state.index + 1]
        return state.after(state.sample + denoised.direction() * (sigma_next - sigma), denoised.clean)


class Euler(EulerMethod):
    """Samples are variance exploding, clean + σ · noise, and are divided by √(σ² + 1) for the model.

    With "linspace" spacing the timesteps are fractions; σ is interpolated between those of training.
    """

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        trained = sigmas(config)
        visited, sigma = visited_levels(config, steps, trained)
        first = sigma[0]
        if config.timestep_spacing == "leading":
            # Leading spacing does not start at pure noise, so the first sample has unit variance of its own.
            first = np.sqrt(first * first + np.float32(1))
        levels = NoiseLevels(visited, np.ones_like(sigma), sigma, pure_noise=first)
        final = _CLEAN if config.final_sigmas_type == "zero" else trained[0]
        super().__init__(levels, VARIANCE_EXPLODING[config.prediction_type], final)

    def model_input(self, state: State) -> tuple[Array, float]:
        """Returns the sample scaled to unit variance, which the model was trained on, and the row's timestep."""
        sample, timestep = super().model_input(state)
        sigma = self._sigmas[state.index]
        return sample / np.sqrt(sigma * sigma + np.float32(1)), timestep


def visited_levels(
    config: ScheduleConfig, steps: int, trained: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns the model's timesteps and σ at the `steps` visited points; `trained` has σ of every timestep.

    Raises:
        ValueError: the spacing has no `steps` different timesteps in the range.
    """
    visited = timesteps(config, steps).astype(np.float32).astype(np.float64)
    sigma = np.interp(visited, np.arange(len(trained)), trained)
    if config.sigma_spacing != "trained":
        largest, smallest = config.sigma_max or float(sigma[0]), config.sigma_min or float(sigma[-1])
        sigma = spaced(config.sigma_spacing, largest, smallest, steps)
        visited = nearest_timesteps(sigma, trained)
    if config.timestep_type == "continuous" and config.prediction_type == "v_prediction":
        # The preconditioning of Karras et al. 2022, table 1: c_noise.
        visited = np.log(sigma.astype(np.float32).astype(np.float64)) / 4
    return visited.astype(np.float32), sigma.astype(np.float32)
