"""DDIM without noise of its own (η = 0): Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models"."""

from __future__ import annotations

import numpy as np

from orchestrator.sampler.schedule import ScheduleConfig, alphas_cumprod, integer_timesteps
from orchestrator.sampler.solver import Array, State, check_step, clean_from, noise_from


class Ddim:
    """Equation 12 of the paper with σ = 0. Samples are variance preserving: √ᾱ · clean + √(1 − ᾱ) · noise."""

    needs_noise = False

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        self.steps = steps
        self._config = config
        self._timesteps = integer_timesteps(config, steps)
        alpha_bar = alphas_cumprod(config)
        # The paper steps to the next timestep of its list. diffusers subtracts a whole stride instead, which is
        # another place wherever the stride does not divide the range; what it shows is what callers compare with.
        previous = self._timesteps - config.num_train_timesteps // steps
        final = np.float32(1) if config.set_alpha_to_one else alpha_bar[0]
        self._alpha_bar = alpha_bar[self._timesteps]
        self._alpha_bar_previous = np.where(previous >= 0, alpha_bar[previous], final)

    def begin(self, noise: Array) -> State:
        return State(sample=noise.astype(np.float32), index=0)

    def model_input(self, state: State) -> tuple[Array, float]:
        return state.sample, float(self._timesteps[state.index])

    def step(self, state: State, prediction: Array, noise: Array | None = None) -> State:
        check_step(self, state, prediction)
        alpha_bar = self._alpha_bar[state.index]
        alpha_bar_previous = self._alpha_bar_previous[state.index]
        alpha, sigma = np.sqrt(alpha_bar), np.sqrt(np.float32(1) - alpha_bar)

        clean = clean_from(self._config, state.sample, prediction, alpha, sigma)
        direction = noise_from(self._config, state.sample, prediction, alpha, sigma)
        sample = np.sqrt(alpha_bar_previous) * clean + np.sqrt(np.float32(1) - alpha_bar_previous) * direction
        return State(sample=sample, index=state.index + 1, predicted_clean=clean)
