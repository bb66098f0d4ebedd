"""The noise levels of a diffusion schedule, and the timesteps of each spacing.

The arithmetic is that of diffusers' schedulers, to the last bit where torch rounds correctly.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from orchestrator.sampler.config import ScheduleConfig

# Nichol & Dhariwal 2021: beyond this the last steps of the cosine schedule would divide by zero.
_MAX_BETA = 0.999
# ᾱ of pure noise where a level is a ratio of noise to signal: fp16's smallest number above zero, as in diffusers.
_LEAST_ALPHA = np.float32(2**-24)


@functools.lru_cache(maxsize=32)
def alphas_cumprod(config: ScheduleConfig) -> NDArray[np.float32]:
    """Returns ᾱ at every training timestep, float32 [num_train_timesteps], read-only (Ho et al. 2020, section 2).

    Betas are rounded to float32, and their product is rounded once, at the end, as in torch's cumprod: a product in
    float32 is off by 1e-6.
    """
    betas = _betas(config)
    result = _cumulative(_without_signal(betas) if config.rescale_betas_zero_snr else betas)
    result.flags.writeable = False
    return result


def _cumulative(betas: NDArray[np.float32]) -> NDArray[np.float32]:
    alphas = np.float32(1) - betas
    return np.cumprod(alphas.astype(np.float64)).astype(np.float32)


def _without_signal(betas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Betas whose last timestep has no signal: Algorithm 1 of Lin et al. 2024, in float32 as diffusers has it."""
    signal = np.sqrt(_cumulative(betas))
    first, last = signal[0], signal[-1]
    signal = (signal - last) * (first / (first - last))
    alpha_bar = signal * signal
    alphas = np.append(alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1])
    rescaled: NDArray[np.float32] = np.float32(1) - alphas
    return rescaled


def _betas(config: ScheduleConfig) -> NDArray[np.float32]:
    count = config.num_train_timesteps
    if config.trained_betas:
        return np.array(config.trained_betas, np.float32)
    if config.beta_schedule == "linear":
        return _linspace(config.beta_start, config.beta_end, count)
    if config.beta_schedule == "scaled_linear":
        return np.square(_linspace(math.sqrt(config.beta_start), math.sqrt(config.beta_end), count))
    time = np.arange(count + 1) / count
    alpha_bar = np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2
    betas: NDArray[np.float32] = np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], _MAX_BETA).astype(np.float32)
    return betas


def _linspace(start: float, end: float, count: int) -> NDArray[np.float32]:
    """torch.linspace to the last bit: float32 ends and step, counted from the nearer end, rounded once.

    numpy's linspace rounds a third of the betas to the other neighbour. After fifty DDIM steps on a linear schedule,
    that is a difference of 4e-5.
    """
    first, last = np.float32(start), np.float32(end)
    step = float((last - first) / np.float32(count - 1))
    index = np.arange(count)
    from_start, from_end = float(first) + step * index, float(last) - step * (count - 1 - index)
    return np.where(index < count // 2, from_start, from_end).astype(np.float32)


def sigmas(config: ScheduleConfig) -> NDArray[np.float32]:
    """Returns the noise-to-signal ratio √((1 − ᾱ) / ᾱ) at every training timestep, float32 (Karras et al. 2022)."""
    alpha_bar = alphas_cumprod(config)
    if config.rescale_betas_zero_snr:
        alpha_bar = np.append(alpha_bar[:-1], _LEAST_ALPHA)
    result: NDArray[np.float32] = np.sqrt((np.float32(1) - alpha_bar) / alpha_bar)
    return result


def timesteps(config: ScheduleConfig, steps: int, *, points: int | None = None) -> NDArray[np.float64]:
    """Returns the `steps` timesteps that a solver visits, noisiest first.

    Args:
        config: the schedule.
        steps: number of model calls.
        points: into how many points "leading" and "linspace" divide the range; `steps` by default. A solver that counts
            the clean end as a point passes one more; that last point is not returned.

    Raises:
        ValueError: the spacing has no `steps` different timesteps in the range.
    """
    total = config.num_train_timesteps
    if not 1 <= steps <= total:
        raise ValueError(f"steps must lie between 1 and {total}, got {steps}")
    points = points or steps
    if config.timestep_spacing == "linspace":
        result = np.linspace(0, total - 1, points)[::-1][:steps]
    elif config.timestep_spacing == "leading":
        result = (np.arange(points) * (total // points))[::-1][:steps] + float(config.steps_offset)
    else:
        # At some numbers of steps, such as 61 of 1000, arange has one point too many, at timestep -1.
        result = np.round(np.arange(total, 0, -total / steps))[:steps] - 1
    return _checked(config, result)


def integer_timesteps(config: ScheduleConfig, steps: int, *, points: int | None = None) -> NDArray[np.int64]:
    """Returns `timesteps` rounded to the ones seen in training; same arguments and errors."""
    rounded = np.round(timesteps(config, steps, points=points))
    return _checked(config, rounded).astype(np.int64)


def _checked(config: ScheduleConfig, result: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = result[0] <= config.num_train_timesteps - 1 and result[-1] >= 0
    if not inside or np.any(np.diff(result) >= 0):
        raise ValueError(
            f"steps: {config.timestep_spacing} spacing with offset {config.steps_offset} has no {len(result)}"
            f" different timesteps below {config.num_train_timesteps}; ask for fewer steps"
        )
    return result
