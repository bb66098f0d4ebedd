"""Euler's method on the probability-flow ODE: Algorithm 2 of Karras et al. 2022 without churn or correction."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.schedule import ScheduleConfig, sigmas, timesteps
from orchestrator.sampler.solver import Array, State, check_step


class Euler:
    """Samples are variance exploding, clean + σ · noise, and are divided by √(σ² + 1) for the model.

    With "linspace" spacing the timesteps are fractions; σ is interpolated between those of training.
    """

    needs_noise = False

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        self.steps = steps
        self._config = config
        self._timesteps = timesteps(config, steps).astype(np.float32)
        trained = sigmas(config)
        visited = np.interp(self._timesteps, np.arange(len(trained)), trained)
        self._sigmas = np.append(visited, 0).astype(np.float32)

    def begin(self, noise: Array) -> State:
        sigma = self._sigmas[0]
        if self._config.timestep_spacing == "leading":
            # Leading spacing does not start at pure noise, so the first sample has unit variance of its own.
            sigma = np.sqrt(sigma * sigma + np.float32(1))
        return State(sample=noise.astype(np.float32) * sigma, index=0)

    def model_input(self, state: State) -> tuple[Array, float]:
        sigma = self._sigmas[state.index]
        return state.sample / np.sqrt(sigma * sigma + np.float32(1)), float(self._timesteps[state.index])

    def step(self, state: State, prediction: Array, noise: Array | None = None) -> State:
        check_step(self, state, prediction)
        sigma, sigma_next = self._sigmas[state.index], self._sigmas[state.index + 1]
        clean = self._denoised(state.sample, prediction, sigma)
        derivative = (state.sample - clean) / sigma
        sample = state.sample + derivative * (sigma_next - sigma)
        return State(sample=sample, index=state.index + 1, predicted_clean=clean)

    def _denoised(self, sample: Array, prediction: Array, sigma: np.float32) -> Array:
        """D(x; σ), the denoiser of section 2 of the paper."""
        if self._config.prediction_type == "epsilon":
            return sample - sigma * prediction
        if self._config.prediction_type == "v_prediction":
            variance = sigma * sigma + np.float32(1)
            return np.add(prediction * (-sigma / np.sqrt(variance)), sample / variance)
        return prediction
