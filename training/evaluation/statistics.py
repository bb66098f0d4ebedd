"""Confidence intervals, tests and distances for the figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def wilson(share: float, count: int) -> float:
    """Half the 95 % interval of a share (Wilson 1927); unlike the normal one, it is not 0 for shares of 0 and 1."""
    z2 = 1.96**2
    half: float = 1.96 * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5 / (1 + z2 / count)
    return half


def bootstrap(values: Sequence[float], rounds: int = 2000) -> float:
    """Half the 95 % bootstrap interval of a mean."""
    numbers, rng = np.asarray(values, np.float64), np.random.default_rng(0)
    means = numbers[rng.integers(len(numbers), size=(rounds, len(numbers)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(high - low) / 2


def permutation_p(differences: Sequence[float], rounds: int = 10000) -> float:
    """One-sided p of a positive mean of paired differences, by random sign flips."""
    numbers, rng = np.asarray(differences, np.float64), np.random.default_rng(0)
    signs = rng.choice((-1.0, 1.0), size=(rounds, len(numbers)))
    return float(((signs * numbers).mean(axis=1) >= numbers.mean()).sum() + 1) / (rounds + 1)


def kid(one: NDArray[np.float64], other: NDArray[np.float64], size: int = 50, rounds: int = 40) -> tuple[float, float]:
    """Kernel inception distance (Bińkowski et al. 2018) of features [N, D]: mean and spread over random subsets.

    Unbiased squared MMD with the kernel (x·y / D + 1)^3; its mean is 0 if both sets have the same distribution.
    """
    rng = np.random.default_rng(0)
    count = min(size, len(one), len(other))

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    estimates = []
    for _ in range(rounds):
        a = one[rng.choice(len(one), count, replace=False)]
        b = other[rng.choice(len(other), count, replace=False)]
        within = sum((k.sum() - np.trace(k)) / (count * (count - 1)) for k in (kernel(a, a), kernel(b, b)))
        estimates.append(within - 2 * kernel(a, b).mean())
    return float(np.mean(estimates)), float(np.std(estimates))
