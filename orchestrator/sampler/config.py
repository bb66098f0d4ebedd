"""What a pipeline's schedule is made of: how its model was trained, and where its solvers step.

There are two kinds: diffusion (`ScheduleConfig`) and rectified flow (`FlowConfig`); `read_schedule` tells them apart.
Names are those of diffusers' schedulers, so a model that was trained with one of them is sampled here with the same
numbers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

SIGMA_SPACINGS = ("trained", "karras", "exponential", "beta", "lu")
FLOW = "flow"
SOLVERS_KEY = "solvers"
_MOST_TIMESTEPS = 100_000
# Beyond it FP32 ends, and an integer of JSON may be beyond every float.
_LARGEST = 1e38
_CHOICES = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("leading", "trailing", "linspace"),
    "sigma_spacing": SIGMA_SPACINGS,
    "timestep_type": ("discrete", "continuous"),
    "final_sigmas_type": ("zero", "sigma_min"),
}


@dataclasses.dataclass(frozen=True)
class ScheduleConfig:
    """How a diffusion model was trained, and which noise levels its solvers visit: "schedule" in `pipeline.json`.

    Each solver reads the attributes that diffusers' class of the same method reads, and no others.

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
        trained_betas: every beta itself, in place of a `beta_schedule`; empty = none.
        rescale_betas_zero_snr: whether the last timestep is pure noise, Algorithm 1 of Lin et al. 2024.
        clip_sample_range: bound of DDIM's, DDPM's and LCM's clean estimates; None = not clipped.
        sigma_spacing: how Euler and DPM-Solver++ space their noise levels: "trained" (as the timesteps lie), "karras"
            (equation 5 of Karras et al. 2022), "exponential", "beta" (Lee et al. 2024), or "lu" (DPM-Solver++ only).
        sigma_min: smallest level of a spacing other than "trained"; None = the schedule's own.
        sigma_max: largest level of such a spacing; None = the schedule's own.
        timestep_type: "continuous" gives the model ¼ · log σ as timestep, if it predicts v (Euler only).
        final_sigmas_type: where Euler and DPM-Solver++ end: "zero" (clean), or "sigma_min" (the level of timestep 0).
        lower_order_final: whether DPM-Solver++'s last step is of first order, in trajectories of fewer than 15 steps.
        euler_at_final: whether it is of first order in any trajectory.
        solvers: what differs for some solvers, by their names: a whole config each.
    """

    num_train_timesteps: int
    beta_schedule: str
    beta_start: float
    beta_end: float
    prediction_type: str
    timestep_spacing: str
    steps_offset: int = 0
    set_alpha_to_one: bool = False
    trained_betas: tuple[float, ...] = ()
    rescale_betas_zero_snr: bool = False
    clip_sample_range: float | None = None
    sigma_spacing: str = "trained"
    sigma_min: float | None = None
    sigma_max: float | None = None
    timestep_type: str = "discrete"
    final_sigmas_type: str = "zero"
    lower_order_final: bool = True
    euler_at_final: bool = False
    solvers: tuple[tuple[str, ScheduleConfig], ...] = ()

    def __post_init__(self) -> None:
        _expect_timesteps(self.num_train_timesteps)
        for key, choices in _CHOICES.items():
            if getattr(self, key) not in choices:
                raise ValueError(f"{key} must be one of {', '.join(choices)}, got {getattr(self, key)!r}")
        if not 0 < self.beta_start < 1:
            raise ValueError(f"beta_start must lie between 0 and 1, got {self.beta_start}")
        if not self.beta_start <= self.beta_end < 1:
            raise ValueError(f"beta_end must lie between beta_start and 1, got {self.beta_end}")
        if not 0 <= self.steps_offset < self.num_train_timesteps:
            raise ValueError(f"steps_offset must lie between 0 and num_train_timesteps, got {self.steps_offset}")
        if self.trained_betas and len(self.trained_betas) != self.num_train_timesteps:
            raise ValueError(f"trained_betas must have num_train_timesteps values, got {len(self.trained_betas)}")
        if not all(0 < beta < 1 for beta in self.trained_betas):
            raise ValueError("trained_betas must lie between 0 and 1")
        for key in ("clip_sample_range", "sigma_min", "sigma_max"):
            if (value := getattr(self, key)) is not None and not 0 < value < math.inf:
                raise ValueError(f"{key} must be above 0, got {value}")

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> ScheduleConfig:
        """Reads the "schedule" of a diffusion pipeline; its "solvers" hold what differs for some solvers.

        Raises:
            ValueError: a key is missing, unknown, of another type or out of range; the message names it.
        """
        common = {key: each for key, each in value.items() if key != SOLVERS_KEY}
        own = value.get(SOLVERS_KEY, {})
        if not isinstance(own, Mapping) or not all(isinstance(each, Mapping) for each in own.values()):
            raise ValueError(f"{SOLVERS_KEY} must hold an object for each solver, got {own!r}")
        solvers = tuple((name, _from_json(cls, {**common, **each})) for name, each in own.items())
        return dataclasses.replace(_from_json(cls, common), solvers=solvers)

    def of(self, solver: str) -> ScheduleConfig:
        """The schedule as one solver walks it."""
        return dict(self.solvers).get(solver, self)


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """How a rectified flow was trained: x = (1 − σ) · clean + σ · noise, the model returning noise − clean.

    Liu et al. 2023, "Flow Straight and Fast"; the shift is that of Esser et al. 2024, section 5.3.2.

    Attributes:
        num_train_timesteps: what σ is multiplied by for the model's timestep.
        prediction_type: "flow", by which the two kinds of schedule are told apart.
        shift: how far the visited σ are moved towards noise, σ → shift · σ / (1 + (shift − 1) · σ); 1.0 leaves them.
        sigma_spacing: how the σ lie between the first and the last: "trained" (even, then shifted), "karras",
            "exponential" or "beta".
    """

    num_train_timesteps: int
    prediction_type: str
    shift: float = 1.0
    sigma_spacing: str = "trained"

    def __post_init__(self) -> None:
        _expect_timesteps(self.num_train_timesteps)
        if self.prediction_type != FLOW:
            raise ValueError(f"prediction_type of a flow must be {FLOW}, got {self.prediction_type!r}")
        if not 0 < self.shift < math.inf:
            raise ValueError(f"shift must be above 0, got {self.shift}")
        if self.sigma_spacing not in SIGMA_SPACINGS[:-1]:
            raise ValueError(f"sigma_spacing of a flow is {self.sigma_spacing!r}, not one of {SIGMA_SPACINGS[:-1]}")


Schedule: TypeAlias = ScheduleConfig | FlowConfig


def read_schedule(value: Mapping[str, object]) -> Schedule:
    """Reads the "schedule" of one pipeline; "prediction_type": "flow" makes it a flow's.

    Raises:
        ValueError: a key is missing, unknown, of another type or out of range; the message names it.
    """
    if value.get("prediction_type") == FLOW:
        return _from_json(FlowConfig, value)
    return ScheduleConfig.from_json(value)


def _expect_timesteps(count: int) -> None:
    if not 2 <= count <= _MOST_TIMESTEPS:
        raise ValueError(f"num_train_timesteps must lie between 2 and {_MOST_TIMESTEPS}, got {str(count)[:20]}")


_C = TypeVar("_C", ScheduleConfig, FlowConfig)


def _from_json(cls: type[_C], value: Mapping[str, object]) -> _C:
    fields = {field.name: field for field in dataclasses.fields(cls) if field.name != SOLVERS_KEY}
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
    """A value of JSON as a field of type `kind`, a dataclass field's annotation."""
    if value is None and kind.endswith("None"):
        return None
    if kind.startswith("tuple"):
        if not isinstance(value, list) or not all(_is_number(each) for each in value):
            raise ValueError(f"{key} must be a list of numbers, got {value!r}")
        return tuple(float(each) for each in value)
    if kind == "bool":
        fits = isinstance(value, bool)
    elif kind == "int":
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif kind.startswith("float"):
        fits = _is_number(value)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise ValueError(f"{key} must be of type {kind}, got {value!r}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST
