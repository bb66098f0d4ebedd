"""Euler's method on the ODE of a rectified flow: Liu et al. 2023, with the shifted σ of Esser et al. 2024."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.schedule import FlowConfig
from orchestrator.sampler.solver import Array, State, check_step


class FlowEuler:
    """x = (1 − σ) · clean + σ · noise and dx/dσ = v, the model's prediction: straight lines from σ = 1 to σ = 0."""

    needs_noise = False

    def __init__(self, config: FlowConfig, steps: int) -> None:
        self.steps = steps
        self._sigmas = flow_sigmas(config, steps)
        self._timesteps = self._sigmas * np.float32(config.num_train_timesteps)

    def begin(self, noise: Array) -> State:
        return State(sample=noise.astype(np.float32), index=0)

    def model_input(self, state: State) -> tuple[Array, float]:
        return state.sample, float(self._timesteps[state.index])

    def step(self, state: State, prediction: Array, noise: Array | None = None) -> State:
        check_step(self, state, prediction)
        sigma, sigma_next = self._sigmas[state.index], self._sigmas[state.index + 1]
        clean = state.sample - sigma * prediction
        sample = state.sample + (sigma_next - sigma) * prediction
        return State(sample=sample, index=state.index + 1, predicted_clean=clean)


def flow_sigmas(config: FlowConfig, steps: int) -> NDArray[np.float32]:
    """Returns σ at the `steps` visited points, from 1 downwards, and the 0 at the end: float32 [steps + 1].

    diffusers shifts the smallest σ of training, and then the whole row between it and 1 again. What it shows is what
    callers compare with, so both shifts are here.

    Raises:
        ValueError: `steps` is not in 1 … num_train_timesteps.
    """
    total = config.num_train_timesteps
    if not 1 <= steps <= total:
        raise ValueError(f"steps must lie between 1 and {total}, got {steps}")
    smallest = float(_shifted(np.float32(1) / np.float32(total), config.shift))
    even = np.linspace(float(total), smallest * total, steps) / total
    return np.append(_shifted(even, config.shift), 0).astype(np.float32)


def _shifted(sigma: NDArray[np.float64] | np.float32, shift: float) -> NDArray[np.float64] | np.float32:
    """Equation 23 of Esser et al. 2024, with √(m / n) = shift."""
    return shift * sigma / (1 + (shift - 1) * sigma)
