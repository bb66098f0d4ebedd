"""The denoising loop of a walk: diffusers' scheduler, and classifier-free guidance as rows of one call."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch

from export.errors import BadFolderError
from export.reading import read_json
from export.schedule.classes import AMENDED, CLASS_OF
from export.source import PipelineFolder
from export.walk.runner import Array, Runner


def scheduler_of(folder: PipelineFolder) -> Any:
    """diffusers' own scheduler of the folder's default solver: the class that the folder names, or `from_config` of it.

    What the export reads from the config has no part in it, so that a walk shows what the export reads wrongly.
    """
    name = str(read_json(folder.scheduler / "scheduler_config.json").get("_class_name"))
    cls = getattr(diffusers, name, None)
    if cls is None:
        raise BadFolderError(f"scheduler/scheduler_config.json names the class {name}, which diffusers does not have.")
    scheduler = amended(cls.from_pretrained(folder.scheduler), folder.scheduler.parent / "model_index.json")
    served = CLASS_OF[folder.settings["defaults"]["scheduler"]]
    return scheduler if served == name else getattr(diffusers, served).from_config(scheduler.config)


def amended(scheduler: Any, index: Path) -> Any:
    """The scheduler after diffusers' class of the pipeline took it: some of these classes change its config."""
    name = read_json(index).get("_class_name") if index.is_file() else None
    if name not in AMENDED:
        return scheduler
    cls = getattr(diffusers, str(name))
    others = [key for key in inspect.signature(cls.__init__).parameters if key not in ("self", "scheduler")]
    return cls(scheduler=scheduler, **dict.fromkeys(others)).scheduler


@dataclass(frozen=True)
class Blend:
    """Known latents [B, C, h, w] that replace the sample where `mask` [B, 1, h, w] is 0, after each step.

    What diffusers' inpainting pipelines do with a denoiser that does not inpaint.
    """

    latents: Array
    mask: Array

    def into(self, sample: torch.Tensor, scheduler: Any, step: int, noise: torch.Tensor) -> torch.Tensor:
        """The sample before `step`, with known latents at that step's noise; after the last step, without noise."""
        known, mask = torch.from_numpy(self.latents), torch.from_numpy(self.mask)
        if step < len(scheduler.timesteps):
            at = scheduler.timesteps[step : step + 1]
            flows = hasattr(scheduler, "scale_noise")
            known = scheduler.scale_noise(known, at, noise) if flows else scheduler.add_noise(known, noise, at)
        return (1 - mask) * known + mask * sample


def denoise(
    run: Runner,
    scheduler: Any,
    constant: Mapping[str, Array],
    noise: Array,
    *,
    steps: int,
    guidance: float,
    generator: torch.Generator,
    blend: Blend | None = None,
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
        blend: Known latents for a denoiser that does not see them.
    """
    count = len(noise)
    guided = guidance > 1
    rows = 2 * count if guided else count
    fixed = {name: np.ascontiguousarray(value[:rows]) for name, value in constant.items()}
    scheduler.set_timesteps(steps)
    sample = torch.from_numpy(noise) * float(getattr(scheduler, "init_noise_sigma", 1.0))
    draws = "generator" in inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {"generator": generator} if draws else {}
    for step, timestep in enumerate(scheduler.timesteps):
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
        if blend is not None:
            sample = blend.into(sample, scheduler, step + 1, torch.from_numpy(noise))
    latents: Array = sample.numpy()
    return latents
