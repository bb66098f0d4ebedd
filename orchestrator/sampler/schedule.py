"""The noise schedule that a model was trained with, and the timesteps that a solver visits.

There are two kinds: diffusion (`ScheduleConfig`) and rectified flow (`FlowConfig`); `read_schedule` tells them apart.

Names and arithmetic are those of diffusers' schedulers, so a model that was trained with one of them is sampled here
with the same numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_CHOICES = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
}

FLOW = "flow"

# Nichol & Dhariwal 2021: beyond this the last steps of the cosine schedule would divide by zero.
_MAX_BETA = 0.999


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """How a diffusion model was trained, and which timesteps its solvers visit: "schedule" in `pipeline.json`.

    Attributes:
        num_train_timesteps: noise levels in training; timesteps run from 0 (almost clean) to one less than this.
        beta_schedule: "linear" (Ho et al. 2020), "scaled_linear" (Rombach et al. 2022) or "squaredcos_cap_v2"
            (Nichol & Dhariwal 2021).
        beta_start: first beta; the cosine schedule ignores it.
        beta_end: last beta; the cosine schedule ignores it.
        prediction_type: what the model returns: "epsilon" (the noise), "v_prediction" (Salimans & Ho 2022) or
            "sample" (the clean latents).
        timestep_spacing: "leading", "trailing" or "linspace", Table 2 of Lin et al. 2024.
        steps_offset: added to every timestep of the "leading" spacing.
        set_alpha_to_one: whether DDIM's last step lands on the clean sample; without it, it lands on the noise
            level of timestep 0, as Stable Diffusion's own configuration does.
    """

    num_train_timesteps: int
    beta_schedule: str
    beta_start: float
    beta_end: float
    prediction_type: str
    timestep_spacing: str
    steps_offset: int = 0
    set_alpha_to_one: bool = False

    def __post_init__(self) -> None:
        if self.num_train_timesteps < 2:
            raise ValueError(f"num_train_timesteps must be at least 2, got {self.num_train_timesteps}")
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ValueError(f"{key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}")
        if not 0 < self.beta_start < 1:
            raise ValueError(f"beta_start must lie between 0 and 1, got {self.beta_start}")
        if not self.beta_start <= self.beta_end < 1:
            raise ValueError(f"beta_end must lie between beta_start and 1, got {self.beta_end}")
        if not 0 <= self.steps_offset < self.num_train_timesteps:
            raise ValueError(f"steps_offset must lie between 0 and num_train_timesteps, got {self.steps_offset}")

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> ScheduleConfig:
        """Reads the "schedule" of a diffusion pipeline.

        Raises:
            ValueError: a key is missing, unknown, of another type or out of range; the message names it.
        """
        return _from_json(cls, value)


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """How a rectified flow was trained: x = (1 − σ) · clean + σ · noise, the model returning noise − clean.

    Liu et al. 2023, "Flow Straight and Fast"; the shift is that of Esser et al. 2024, section 5.3.2.

    Attributes:
        num_train_timesteps: what σ is multiplied by for the model's timestep.
        prediction_type: "flow", by which the two kinds of schedule are told apart.
        shift: how far the visited σ are moved towards noise, σ → shift · σ / (1 + (shift − 1) · σ); 1.0 leaves them.
    """

    num_train_timesteps: int
    prediction_type: str
    shift: float = 1.0

    def __post_init__(self) -> None:
        if self.num_train_timesteps < 2:
            raise ValueError(f"num_train_timesteps must be at least 2, got {self.num_train_timesteps}")
        if self.prediction_type != FLOW:
            raise ValueError(f"prediction_type of a flow must be {FLOW}, got {self.prediction_type!r}")
        if not 0 < self.shift < math.inf:
            raise ValueError(f"shift must be above 0, got {self.shift}")


Schedule: TypeAlias = ScheduleConfig | FlowConfig


def read_schedule(value: Mapping[str, object]) -> Schedule:
    """Reads the "schedule" of one pipeline; "prediction_type": "flow" makes it a flow's.

    Raises:
        ValueError: a key is missing, unknown, of another type or out of range; the message names it.
    """
    if value.get("prediction_type") == FLOW:
        return _from_json(FlowConfig, value)
    return _from_json(ScheduleConfig, value)


_C = TypeVar("_C", ScheduleConfig, FlowConfig)


def _from_json(cls: type[_C], value: Mapping[str, object]) -> _C:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    # With an unknown key, pictures would be wrong and nothing would tell.
    for key in value:
        if key not in fields:
            raise ValueError(f"{key} is not a key of a schedule")
    arguments: dict[str, Any] = {}
    for key, field in fields.items():
        if key in value:
            arguments[key] = _typed(key, value[key], str(field.type))
        elif field.default is dataclasses.MISSING:
            raise ValueError(f"{key} is missing from the schedule")
    return cls(**arguments)


def _typed(key: str, value: object, kind: str) -> object:
    if kind == "bool":
        fits = isinstance(value, bool)
    elif kind == "int":
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif kind == "float":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise ValueError(f"{key} must be of type {kind}, got {value!r}")
    return value


@functools.lru_cache(maxsize=32)
def alphas_cumprod(config: ScheduleConfig) -> NDArray[np.float32]:
    """Returns ᾱ at every training timestep, float32 [num_train_timesteps], read-only (Ho et al. 2020, section 2).

    Betas are rounded to float32, and their product is rounded once, at the end, as in torch's cumprod: a product in
    float32 is off by 1e-6.
    """
    alphas = np.float32(1) - _betas(config)
    result = np.cumprod(alphas.astype(np.float64)).astype(np.float32)
    result.flags.writeable = False
    return result


def _betas(config: ScheduleConfig) -> NDArray[np.float32]:
    count = config.num_train_timesteps
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
