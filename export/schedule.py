"""The pipeline's schedule, read from diffusers' scheduler config, and the solvers that may follow it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.reading import read_json

DIFFUSION_KEYS = (
    "num_train_timesteps",
    "beta_schedule",
    "beta_start",
    "beta_end",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
)
DIFFUSION_SOLVERS = ("ddim", "euler", "dpmpp_2m", "ddpm")
SOLVERS_BY_CLASS = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "DPMSolverMultistepScheduler": "dpmpp_2m",
    "EulerDiscreteScheduler": "euler",
    "FlowMatchEulerDiscreteScheduler": "flow_euler",
    "LCMScheduler": "lcm",
}
"""Our solver for each of diffusers' classes."""
LCM = {"original_inference_steps": 50, "timestep_scaling": 10.0}
"""The values of the paper's code and of diffusers, the only ones that the orchestrator's sampler supports."""
REFUSED = {
    "diffusion": ("trained_betas", "rescale_betas_zero_snr"),
    "flow": (
        "use_dynamic_shifting",
        "invert_sigmas",
        "shift_terminal",
        "stochastic_sampling",
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
    ),
}
"""Settings that the orchestrator's samplers do not support."""


def own_solver(folder: Path, solvers: Sequence[str]) -> str:
    """The solver of the class that the folder names; where it is none of `solvers`, `dpmpp_2m` or else the first."""
    solver = SOLVERS_BY_CLASS.get(str(read_json(folder / "scheduler_config.json").get("_class_name")))
    if solver is not None and solver in solvers:
        return solver
    return "dpmpp_2m" if "dpmpp_2m" in solvers else solvers[0]


def read_schedule(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schedule, in the words of diffusers' configs, and the names of the solvers that fit it.

    Raises:
        BadFolderError: if something is missing, or set to what the samplers do not know.
    """
    config = read_json(folder / "scheduler_config.json")
    name = str(config.get("_class_name"))
    kind = "flow" if name.startswith("FlowMatch") else "diffusion"
    for key in REFUSED[kind]:
        if config.get(key):
            raise BadFolderError(f"scheduler/scheduler_config.json sets {key}, which the samplers here do not know.")
    if kind == "flow":
        return read_flow(config)
    missing = [key for key in DIFFUSION_KEYS[:4] if key not in config]
    if missing:
        raise BadFolderError(f"scheduler/scheduler_config.json lacks {missing[0]}.")
    defaults = {"prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 0}
    schedule = {key: config.get(key, defaults.get(key)) for key in DIFFUSION_KEYS}
    if name != "LCMScheduler":
        return schedule, DIFFUSION_SOLVERS
    for key, value in LCM.items():
        if config.get(key, value) != value:
            raise BadFolderError(
                f"scheduler/scheduler_config.json sets {key} to {config[key]}; the sampler has {value}."
            )
    return schedule, ("lcm",)


def read_flow(config: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schedule of a rectified flow, whose model predicts noise minus data."""
    if config.get("_class_name") != "FlowMatchEulerDiscreteScheduler":
        raise BadFolderError(
            f"scheduler/ names the class {config.get('_class_name')}; of the flows, only "
            f"FlowMatchEulerDiscreteScheduler is known."
        )
    schedule = {
        "num_train_timesteps": config.get("num_train_timesteps", 1000),
        "prediction_type": "flow",
        "shift": float(config.get("shift", 1.0)),
    }
    return schedule, ("flow_euler",)
