"""DDIM without noise of its own (η = 0): Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models"."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import alphas_cumprod, integer_timesteps
from orchestrator.sampler.solver import Solver, State, preserving_levels


class Ddim(Solver):
    """Equation 12 of the paper with σ = 0. Samples are variance preserving: √ᾱ · clean + √(1 − ᾱ) · noise."""

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        timesteps = integer_timesteps(config, steps)
        alpha_bar = alphas_cumprod(config)
        # The paper steps to the next timestep of its list. diffusers subtracts a whole stride instead, which is
        # another timestep wherever the stride does not divide the range; callers compare our pictures with its.
        previous = timesteps - config.num_train_timesteps // steps
        final = np.float32(1) if config.set_alpha_to_one else alpha_bar[0]
        self._alpha_bar_previous = np.where(previous >= 0, alpha_bar[previous], final)
        levels = preserving_levels(timesteps, alpha_bar)
        super().__init__(levels, VARIANCE_PRESERVING[config.prediction_type], config.clip_sample_range)

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """Equation 12: the clean estimate, and the direction that points to the sample."""
        alpha_bar_previous = self._alpha_bar_previous[state.index]
        signal, level = np.sqrt(alpha_bar_previous), np.sqrt(np.float32(1) - alpha_bar_previous)
        return state.after(signal * denoised.clean + level * denoised.direction(), denoised.clean)
