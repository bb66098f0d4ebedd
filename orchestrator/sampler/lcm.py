"""Multistep sampling of a consistency-distilled model: Luo et al. 2023, "Latent Consistency Models"."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.config import ScheduleConfig
from orchestrator.sampler.prediction import VARIANCE_PRESERVING, Array, Denoised
from orchestrator.sampler.schedule import alphas_cumprod
from orchestrator.sampler.solver import Solver, State, preserving_levels

# Models are distilled with these values, so they are not settings: the defaults of the paper's code and of diffusers.
ORIGINAL_STEPS = 50
_SIGMA_DATA = np.float32(0.5)
_TIMESTEP_SCALING = np.float32(10.0)


class Lcm(Solver):
    """Each step computes the consistency function for the clean latents, and adds noise of the next timestep to them.

    f(x, t) = c_skip(t) · x + c_out(t) · clean(x, t). The last step returns f itself and takes no noise.
    The model was distilled at every `num_train_timesteps / 50`-th timestep; the visited ones are chosen from those,
    whatever spacing the schedule names. Samples are variance preserving.
    """

    needs_noise = True

    def __init__(self, config: ScheduleConfig, steps: int) -> None:
        timesteps = lcm_timesteps(config, steps)
        self._alpha_bar = alphas_cumprod(config)[timesteps]
        # Boundary conditions: f is the identity at t = 0 (Song et al. 2023, appendix C, with t scaled by 10).
        scaled = timesteps.astype(np.float32) * _TIMESTEP_SCALING
        distance = scaled * scaled + _SIGMA_DATA * _SIGMA_DATA
        self._skip = _SIGMA_DATA * _SIGMA_DATA / distance
        self._out = scaled / np.sqrt(distance)
        levels = preserving_levels(timesteps, alphas_cumprod(config))
        super().__init__(levels, VARIANCE_PRESERVING[config.prediction_type], config.clip_sample_range)

    def advance(self, state: State, denoised: Denoised, noise: Array | None) -> State:
        """The consistency function, and fresh noise of the next level."""
        i = state.index
        clean = self._out[i] * denoised.clean + self._skip[i] * state.sample
        if i == self.steps - 1:
            return state.after(clean, clean)
        alpha_bar_next = self._alpha_bar[i + 1]
        sample = np.sqrt(alpha_bar_next) * clean + np.sqrt(np.float32(1) - alpha_bar_next) * noise
        return state.after(sample, clean)


def lcm_timesteps(config: ScheduleConfig, steps: int) -> NDArray[np.int64]:
    """Returns the `steps` timesteps to visit, noisiest first: evenly spaced indices into the 50 of the distillation.

    Raises:
        ValueError: there are more steps than timesteps that the model was distilled at.
    """
    most = min(ORIGINAL_STEPS, config.num_train_timesteps)
    if not 1 <= steps <= most:
        raise ValueError(f"steps must lie between 1 and {most} for lcm, got {steps}")
    stride = config.num_train_timesteps // most
    distilled = np.arange(most, 0, -1) * stride - 1
    chosen: NDArray[np.int64] = distilled[np.floor(np.linspace(0, most, steps, endpoint=False)).astype(np.int64)]
    return chosen
