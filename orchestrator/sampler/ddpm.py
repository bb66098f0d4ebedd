"""Ancestral sampling: Algorithm 2 of Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models"."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import alphas_cumprod, integer_timesteps
from orchestrator.sampler.solver import Solver, State, preserving_levels


class Ddpm(Solver):
    """The posterior of equation 7 between any two visited timesteps, with its own variance β̃ (the smaller choice).

    Samples are variance preserving. The last step lands on the posterior mean and takes no noise.
    """

    needs_noise = True

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        timesteps = integer_timesteps(config, steps)
        self._alpha_bar = alphas_cumprod(config)[timesteps]
        self._alpha_bar_previous = np.append(self._alpha_bar[1:], np.float32(1))
        levels = preserving_levels(timesteps, alphas_cumprod(config))
        super().__init__(levels, VARIANCE_PRESERVING[config.prediction_type], config.clip_sample_range)

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """Equation 7: the posterior mean, and noise of its deviation."""
        one = np.float32(1)
        alpha_bar, alpha_bar_previous = self._alpha_bar[state.index], self._alpha_bar_previous[state.index]
        alpha = alpha_bar / alpha_bar_previous
        beta = one - alpha

        clean_weight = np.sqrt(alpha_bar_previous) * beta / (one - alpha_bar)
        sample_weight = np.sqrt(alpha) * (one - alpha_bar_previous) / (one - alpha_bar)
        sample = clean_weight * denoised.clean + sample_weight * state.sample
        if state.index < self.steps - 1:
            deviation = np.sqrt((one - alpha_bar_previous) / (one - alpha_bar) * beta)
            sample = sample + deviation * noise
        return state.after(sample, denoised.clean)
