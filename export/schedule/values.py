"""A scheduler's values as `pipeline.json` writes them, checked against the table of its class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from export.errors import BadFolderError
from export.keys.rules import NoEffect, Rule
from export.schedule.rules import SchedulerClass

FILE = "scheduler/scheduler_config.json"
ALWAYS = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
)
"""Keys that every schedule of betas has in `pipeline.json`."""
NEUTRAL: Mapping[str, Any] = {
    "set_alpha_to_one": False,
    "trained_betas": [],
    "rescale_betas_zero_snr": False,
    "clip_sample_range": None,
    "sigma_spacing": "trained",
    "sigma_min": None,
    "sigma_max": None,
    "timestep_type": "discrete",
    "final_sigmas_type": "zero",
    "lower_order_final": True,
    "euler_at_final": False,
}
"""The other keys, with the values that the sampler has where they are not written."""
SPACINGS = {
    "use_karras_sigmas": "karras",
    "use_lu_lambdas": "lu",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
}
VARIANCE_PRESERVING = ("ddim", "ddpm", "lcm")


def schedule_of(cls: SchedulerClass, config: Mapping[str, Any]) -> dict[str, Any]:
    """Every key that a class's solver reads, neutral ones too, from what a config sets over the class's defaults.

    Raises:
        BadFolderError: with one sentence, on a value that is not served.
    """
    rules: dict[str, Rule] = {key: rule for key, (_, rule) in cls.keys.items()} | dict(cls.hidden)
    values = {key: default for key, (default, _) in cls.keys.items()} | dict.fromkeys(cls.hidden)
    values |= {key: value for key, value in config.items() if key in rules}
    for key, rule in rules.items():
        if isinstance(rule, NoEffect):
            values[key] = cls.keys[key][0]
        if (problem := rule.problem(values[key])) is not None:
            raise BadFolderError(f"{FILE} sets {key} to {json.dumps(values[key])[:60]}: {problem}.")
    spacing = sigma_spacing(values)
    if cls.solver == "flow_euler":
        return {
            "num_train_timesteps": values["num_train_timesteps"],
            "prediction_type": "flow",
            "shift": float(values["shift"]),
            "sigma_spacing": spacing,
        }
    expect_consistent(cls, values)
    clipped = values["clip_sample_range"] if values.get("clip_sample") else None
    derived = {
        "sigma_spacing": spacing,
        "clip_sample_range": clipped,
        "trained_betas": values["trained_betas"] or [],
    }
    flags = {key: bool(values[key]) for key in read_keys(cls) if isinstance(NEUTRAL.get(key), bool)}
    return {key: (derived | flags).get(key, values.get(key)) for key in read_keys(cls)}


def read_keys(cls: SchedulerClass) -> tuple[str, ...]:
    """The keys of `pipeline.json`'s schedule that a class's solver reads."""
    names = {*cls.keys, *cls.hidden} | ({"sigma_spacing"} if set(SPACINGS) & set(cls.keys) else set())
    return (*ALWAYS, *(key for key in NEUTRAL if key in names))


def sigma_spacing(values: Mapping[str, Any]) -> str:
    """How the visited noise levels are spaced."""
    chosen = [key for key in SPACINGS if values.get(key)]
    if len(chosen) > 1:
        raise BadFolderError(f"{FILE} sets both {chosen[0]} and {chosen[1]}; only one can be used.")
    return SPACINGS[chosen[0]] if chosen else "trained"


def expect_consistent(cls: SchedulerClass, values: Mapping[str, Any]) -> None:
    """Refuses values that do not go together."""
    if values["beta_start"] > values["beta_end"]:
        raise BadFolderError(f"{FILE} sets beta_start above beta_end.")
    trained, count = values["trained_betas"], values["num_train_timesteps"]
    if trained is not None and len(trained) != count:
        raise BadFolderError(f"{FILE} has {len(trained)} trained_betas for {count} num_train_timesteps.")
    if values["steps_offset"] >= count:
        raise BadFolderError(f"{FILE} sets steps_offset to num_train_timesteps or more.")
    without_signal = values.get("rescale_betas_zero_snr") and cls.solver in VARIANCE_PRESERVING
    if without_signal and values["prediction_type"] == "epsilon":
        raise BadFolderError(
            f"{FILE} sets rescale_betas_zero_snr with prediction_type epsilon: the first step would "
            "divide by a signal of 0."
        )


def differences(values: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What one solver reads otherwise than the common schedule has it."""
    return {key: value for key, value in values.items() if value != base.get(key, NEUTRAL.get(key))}


def written(base: Mapping[str, Any], differing: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule as `pipeline.json` has it: neutral values are left out, other solvers' own come under `solvers`."""
    schedule = {key: value for key, value in base.items() if key not in NEUTRAL or value != NEUTRAL[key]}
    return {**schedule, "solvers": dict(differing)} if differing else schedule
