"""Where randomness comes from: noise for each step of a variant.

Noise is a function of (seed, step) alone. A step that is redone, on another replica or in another process, gets the
same noise, whatever was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backdrop.contract.limits import MAX_SEED
from orchestrator.sampler.prediction import Array


class NoiseStream:
    """Standard-normal float32 noise of one variant, by Philox (Salmon et al. 2011) keyed with (seed, step)."""

    def __init__(self, seed: int) -> None:
        if not 0 <= seed <= MAX_SEED:
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
