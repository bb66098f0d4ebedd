"""Euler's method on the ODE of a rectified flow: Liu et al. 2023, with the shifted σ of Esser et al. 2024."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.config import FlowConfig
from orchestrator.sampler.euler import EulerMethod
from orchestrator.sampler.prediction import FLOW_VELOCITY
from orchestrator.sampler.sigmas import spaced
from orchestrator.sampler.solver import NoiseLevels


class FlowEuler(EulerMethod):
    """x = (1 − σ) · clean + σ · noise and dx/dσ = noise − clean: straight lines from σ = 1 to σ = 0."""

    def __init__(self, config: FlowConfig, steps: int) -> None:
        sigma = flow_sigmas(config, steps)[:-1]
        levels = NoiseLevels(sigma * np.float32(config.num_train_timesteps), np.float32(1) - sigma, sigma)
        super().__init__(levels, FLOW_VELOCITY)


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
    sigma = np.asarray(_shifted(even, config.shift))
    if config.sigma_spacing != "trained":
        sigma = spaced(config.sigma_spacing, float(sigma[0]), float(sigma[-1]), steps)
    return np.append(sigma, 0).astype(np.float32)


def _shifted(sigma: NDArray[np.float64] | np.float32, shift: float) -> NDArray[np.float64] | np.float32:
    """Equation 23 of Esser et al. 2024, with √(m / n) = shift."""
    return shift * sigma / (1 + (shift - 1) * sigma)
