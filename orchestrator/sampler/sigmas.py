"""The noise levels σ that Euler and DPM-Solver++ visit where a schedule does not leave them at its timesteps.

σ is the ratio of noise to signal. diffusers computes these rows in float64, and so does this module.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_RHO = 7.0  # Karras et al. 2022, after equation 5.
_ALPHA = 0.6  # Both parameters of the beta distribution of Lee et al. 2024.


def spaced(spacing: str, largest: float, smallest: float, steps: int) -> Floats:
    """Returns `steps` levels from the largest to the smallest, float64 [steps].

    Args:
        spacing: "karras": equation 5 of Karras et al. 2022; "exponential" and "lu": even in log σ; "beta": quantiles
            of a beta distribution, "Beta Sampling is All You Need" (Lee et al. 2024).
        largest: the first level.
        smallest: the last one; it is not visited where there is one step.
        steps: number of levels.
    """
    levels: Floats
    ramp = np.linspace(0, 1, steps)
    if spacing == "karras":
        first, last = largest ** (1 / _RHO), smallest ** (1 / _RHO)
        levels = (first + ramp * (last - first)) ** _RHO
    elif spacing == "beta":
        levels = smallest + beta_quantiles(1 - ramp) * (largest - smallest)
    else:
        levels = np.exp(np.linspace(math.log(largest), math.log(smallest), steps))
    return levels


def beta_quantiles(levels: Floats) -> Floats:
    """Quantiles of the beta distribution with both parameters 0.6, float64 of the argument's shape, to 1e-13.

    Bisection of the regularised incomplete beta function: a library that has it would be the orchestrator's largest.
    """
    # The distribution is symmetric, and the series below converges fast up to one half.
    lower = np.minimum(levels, 1 - levels)
    low, high = np.zeros_like(lower), np.full_like(lower, 0.5)
    for _ in range(60):
        middle = (low + high) / 2
        below = _beta_distribution(middle) < lower
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    quantile = np.where(lower == 0, 0.0, high)
    return np.where(levels <= 0.5, quantile, 1 - quantile)


def _beta_distribution(x: Floats) -> Floats:
    """I_x(a, a) = xᵃ / B(a, a) · Σ (1 − a)ₙ xⁿ / (n! (a + n)), for x up to one half."""
    total, term = np.zeros_like(x), np.ones_like(x)
    for n in range(60):
        total += term / (_ALPHA + n)
        term = term * x * (1 - _ALPHA + n) / (n + 1)
    return x**_ALPHA * total * math.gamma(2 * _ALPHA) / math.gamma(_ALPHA) ** 2


def nearest_timesteps(levels: Floats, trained: NDArray[np.float32]) -> Floats:
    """Returns the timesteps of levels, fractions of training's, interpolated in log σ: float64 of the levels' shape.

    Args:
        levels: σ, float64.
        trained: σ of every timestep of training, rising, float32.
    """
    return np.interp(np.log(levels), np.log(trained.astype(np.float64)), np.arange(len(trained)))
