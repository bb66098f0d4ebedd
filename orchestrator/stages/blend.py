"""Blend: known latents for a denoiser that does not see them, put into the sample after each step."""

from __future__ import annotations

import dataclasses

from orchestrator.arrays import Floats
from orchestrator.sampler import Solver, State


@dataclasses.dataclass(frozen=True, eq=False)
class Blend:
    """What diffusers' inpainting pipelines do with a UNet of 4 channels: where nothing is made, the sample is known.

    `latents` [C, h, w] are the whole picture's, scaled; `mask` [1, h, w] is 1 where latents are made.
    """

    latents: Floats
    mask: Floats

    def into(self, state: State, solver: Solver, noise: Floats) -> State:
        """The state with known latents; `noise` [C, h, w] is the noise that the trajectory began with.

        The multistep history stays: it holds what the model predicted, as in diffusers' schedulers.
        """
        sample = self._over(state.sample, solver.noised(self.latents, noise, state.index))
        predicted = None if state.predicted_clean is None else self._over(state.predicted_clean, self.latents)
        return dataclasses.replace(state, sample=sample, predicted_clean=predicted)

    def _over(self, latents: Floats, known: Floats) -> Floats:
        blended: Floats = (1 - self.mask) * known + self.mask * latents
        return blended
