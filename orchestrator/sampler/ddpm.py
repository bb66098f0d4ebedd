"""Ancestral sampling: Algorithm 2 of Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models"."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.schedule import ScheduleConfig, alphas_cumprod, integer_timesteps
from orchestrator.sampler.solver import Array, State, check_step, clean_from


class Ddpm:
    """The posterior of equation 7 between any two visited timesteps, with its own variance β̃ (the smaller choice).

    Samples are variance preserving. The last step lands on the posterior mean and takes no noise.
    """

    needs_noise = True

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        self.steps = steps
        self._config = config
        self._timesteps = integer_timesteps(config, steps)
        self._alpha_bar = alphas_cumprod(config)[self._timesteps]
        self._alpha_bar_previous = np.append(self._alpha_bar[1:], np.float32(1))

    def begin(self, noise: Array) -> State:
        return State(sample=noise.astype(np.float32), index=0)

    def model_input(self, state: State) -> tuple[Array, float]:
        return state.sample, float(self._timesteps[state.index])

    def step(self, state: State, prediction: Array, noise: Array | None = None) -> State:
        check_step(self, state, prediction)
        one = np.float32(1)
        alpha_bar, alpha_bar_previous = self._alpha_bar[state.index], self._alpha_bar_previous[state.index]
        alpha = alpha_bar / alpha_bar_previous
        beta = one - alpha

        clean = clean_from(self._config, state.sample, prediction, np.sqrt(alpha_bar), np.sqrt(one - alpha_bar))
        clean_weight = np.sqrt(alpha_bar_previous) * beta / (one - alpha_bar)
        sample_weight = np.sqrt(alpha) * (one - alpha_bar_previous) / (one - alpha_bar)
        sample = clean_weight * clean + sample_weight * state.sample
        if state.index < self.steps - 1:
            if noise is None or noise.shape != sample.shape:
                raise ValueError(f"a DDPM step needs noise of shape {sample.shape}")
            deviation = np.sqrt((one - alpha_bar_previous) / (one - alpha_bar) * beta)
            sample = sample + deviation * noise
        return State(sample=sample, index=state.index + 1, predicted_clean=clean)
