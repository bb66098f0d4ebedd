"""Where randomness comes from: a seed for each variant, and noise for each step of it.

Noise is a function of (seed, step) alone. A step that is redone, on another replica or in another process, gets the
same noise, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from orchestrator.sampler.prediction import Array

SEED_LIMIT = 2**63  # The contract's range.

_MASK = 2**64 - 1
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def variant_seed(seed: int, index: int) -> int:
    """Returns the seed of variant `index` of a request, in 0 … 2⁶³ − 1.

    Variant 0 keeps the seed itself, so that one variant of a request can be asked for again on its own: put its
    seed in a request of one.

    Raises:
        ValueError: the seed or the index is out of range.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed must lie between 0 and 2^63 - 1, got {seed}")
    if index < 0:
        raise ValueError(f"the variant's index must not be negative, got {index}")
    if index == 0:
        return seed
    # The seed is mixed before the index is added: neighbouring seeds must not share their variants.
    return _mix(_mix(seed) + index * _GOLDEN_GAMMA) % SEED_LIMIT


def _mix(value: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class NoiseStream:
    """Standard-normal float32 noise of one variant, by Philox (Salmon et al. 2011) keyed with (seed, step)."""

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < SEED_LIMIT:
            raise ValueError(f"seed must lie between 0 and 2^63 - 1, got {seed}")
        self._seed = seed

    def initial(self, shape: Sequence[int]) -> Array:
        """Returns the noise that a trajectory begins with."""
        return self._draw(0, shape)

    def at_step(self, index: int, shape: Sequence[int]) -> Array:
        """Returns the fresh noise for step `index`, counted from 0.

        Raises:
            ValueError: the index is negative.
        """
        if index < 0:
            raise ValueError(f"the step's index must not be negative, got {index}")
        return self._draw(index + 1, shape)

    def _draw(self, stream: int, shape: Sequence[int]) -> Array:
        key = np.array([self._seed, stream], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        return generator.standard_normal(tuple(shape), dtype=np.float32)
