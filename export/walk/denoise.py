"""The denoising loop of a walk: diffusers' scheduler, and classifier-free guidance as rows of one call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
import numpy as np
import torch

from export.errors import BadFolderError
from export.reading import read_json
from export.source import PipelineFolder
from export.walk.runner import Array, Runner


def scheduler_of(folder: PipelineFolder) -> Any:
    """diffusers' own scheduler, as the folder describes it."""
    name = read_json(folder.scheduler / "scheduler_config.json").get("_class_name")
    cls = getattr(diffusers, str(name), None)
    if cls is None:
        raise BadFolderError(f"scheduler/scheduler_config.json names the class {name}, which diffusers does not have.")
    return cls.from_pretrained(folder.scheduler)


def denoise(
    run: Runner,
    scheduler: Any,
    constant: Mapping[str, Array],
    noise: Array,
    *,
    steps: int,
    guidance: float,
    generator: torch.Generator,
) -> Array:
    """Takes B requests, which share steps and guidance, from noise to clean latents [B, C, h, w].

    Args:
        run: The denoiser.
        scheduler: One of diffusers'.
        constant: The denoiser's inputs that no step changes, by name, each of 2·B rows: the requests' own, then those
            of the empty prompt. The second half is not read where guidance is 1 or less.
        noise: [B, C, h, w], of variance 1.
        steps: Solver steps.
        guidance: The scale of Ho & Salimans 2022; 1 or less makes no call for the empty prompt.
        generator: Where solvers that draw noise in their steps draw it from.
    """
    count = len(noise)
    guided = guidance > 1
    rows = 2 * count if guided else count
    fixed = {name: np.ascontiguousarray(value[:rows]) for name, value in constant.items()}
    scheduler.set_timesteps(steps)
    sample = torch.from_numpy(noise) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    draws = "generator" in inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {"generator": generator} if draws else {}
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(sample, timestep) if hasattr(scheduler, "scale_model_input") else sample
        inputs = {
            "sample": np.concatenate([scaled.numpy()] * (rows // count)),
            "timestep": np.full((rows, 1), float(timestep), np.float32),
            **fixed,
        }
        output = run(inputs)["noise_pred"]
        conditional, unconditional = output[:count], output[count:]
        prediction = unconditional + guidance * (conditional - unconditional) if guided else conditional
        sample = scheduler.step(torch.from_numpy(prediction), timestep, sample, **options).prev_sample
    latents: Array = sample.numpy()
    return latents
