"""Euler's method on the probability-flow ODE: Algorithm 2 of Karras et al. 2022 without churn or correction."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.prediction import VARIANCE_EXPLODING, Array, Denoised, Prediction
from orchestrator.sampler.schedule import ScheduleConfig, sigmas, timesteps
from orchestrator.sampler.solver import NoiseLevels, Solver, State


class EulerMethod(Solver):
    """dx/dσ is the direction of the denoised estimate; σ is the noise level of the sample, 0 after the last step."""

    def __init__(self, levels: NoiseLevels, prediction: Prediction) -> None:
        super().__init__(levels, prediction)
        self._sigmas = np.append(levels.noise, np.float32(0))

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """One straight line from a level to the next."""
        sigma, sigma_next = self._sigmas[state.index], self._sigmas[state.index + 1]
        return state.after(state.sample + denoised.direction() * (sigma_next - sigma), denoised.clean)


class Euler(EulerMethod):
    """Samples are variance exploding, clean + σ · noise, and are divided by √(σ² + 1) for the model.

    With "linspace" spacing the timesteps are fractions; σ is interpolated between those of training.
    """

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        visited = timesteps(config, steps).astype(np.float32)
        trained = sigmas(config)
        sigma = np.interp(visited, np.arange(len(trained)), trained).astype(np.float32)
        first = sigma[0]
        if config.timestep_spacing == "leading":
            # Leading spacing does not start at pure noise, so the first sample has unit variance of its own.
            first = np.sqrt(first * first + np.float32(1))
        levels = NoiseLevels(visited, np.ones_like(sigma), sigma, pure_noise=first)
        super().__init__(levels, VARIANCE_EXPLODING[config.prediction_type])

    def model_input(self, state: State) -> tuple[Array, float]:
        """Returns the sample scaled to unit variance, which the model was trained on, and the row's timestep."""
        sample, timestep = super().model_input(state)
        sigma = self._sigmas[state.index]
        return sample / np.sqrt(sigma * sigma + np.float32(1)), timestep
