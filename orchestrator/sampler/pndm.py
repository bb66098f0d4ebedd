"""PLMS: the pseudo linear multistep method of Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models"."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import alphas_cumprod, integer_timesteps
from orchestrator.sampler.solver import Solver, State, preserving_levels

# Of the latest direction, the one before it and so on: Adams-Bashforth of order 2, 3 and 4 (equation 12 of the paper).
_WEIGHTS = {2: ((3, -1), 2), 3: ((23, -16, 5), 12), 4: ((55, -59, 37, -9), 24)}


class Pndm(Solver):
    """Equation 9 of the paper along a weighted sum of directions, without the paper's Runge-Kutta steps.

    In their place the second timestep is visited twice, as in diffusers' PNDM with `skip_prk_steps`: the first step is
    taken again with the mean of the directions at its two ends. So there is one more model call than there are steps.
    `State.history` holds the directions of earlier calls, the latest last; after the first call of a trajectory, its
    direction and the sample that it was made for.
    """

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        timesteps = integer_timesteps(config, steps)
        if steps > 1:
            timesteps = np.insert(timesteps, 1, timesteps[1])
            self.extra_calls = 1
        self._timesteps = timesteps
        self._stride = config.num_train_timesteps // steps
        self._alpha_bar = alphas_cumprod(config)
        self._final = np.float32(1) if config.set_alpha_to_one else self._alpha_bar[0]
        super().__init__(preserving_levels(timesteps, self._alpha_bar), VARIANCE_PRESERVING[config.prediction_type])

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """The step of the call that it is, counted from where the trajectory began."""
        call, direction = state.index - state.first, denoised.direction()
        timestep = int(self._timesteps[state.index])
        if call == 0:
            sample = self._moved(state.sample, direction, timestep)
            return state.after(sample, denoised.clean, history=(direction, state.sample))
        if call == 1:
            first, origin = state.history
            sample = self._moved(origin, (direction + first) / np.float32(2), timestep + self._stride)
            return state.after(sample, denoised.clean, history=(first,))
        directions = (*state.history, direction)
        weights, divisor = _WEIGHTS[len(directions)]
        total = sum(np.float32(weight) * each for weight, each in zip(weights, reversed(directions), strict=True))
        sample = self._moved(state.sample, total / np.float32(divisor), timestep)
        return state.after(sample, denoised.clean, history=directions[-3:])

    def _moved(self, sample: Array, direction: Array, timestep: int) -> Array:
        """Equation 9: a sample of one timestep, one stride nearer to clean."""
        before = timestep - self._stride
        here = self._alpha_bar[timestep]
        there = self._alpha_bar[before] if before >= 0 else self._final
        one = np.float32(1)
        divisor = here * np.sqrt(one - there) + np.sqrt(here * (one - here) * there)
        moved: Array = np.sqrt(there / here) * sample - (there - here) * direction / divisor
        return moved
