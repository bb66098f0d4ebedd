"""The same pictures by diffusers' own pipeline objects, loaded from the folders that were exported."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from backdrop.contract.arrays import blend
from export.schedule.classes import CLASS_OF
from orchestrator.sampler import NoiseStream
from tests.export.oracle import cases, extras
from tests.export.oracle.cases import Bytes, Case
from tests.export.oracle.folders import SIDE
from tests.orchestrator.sampler.scheduler_configs import quiet

WHOLE = {
    "sd15-inpaint": "StableDiffusionInpaintPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "sdxl-inpaint": "StableDiffusionXLInpaintPipeline",
    "sd3": "StableDiffusion3Pipeline",
}
"""The class that makes whole pictures, by family."""
MASKED = WHOLE | {"sdxl": "StableDiffusionXLInpaintPipeline", "sd3": "StableDiffusion3InpaintPipeline"}
"""The class that fills masks."""


def picture(folder: Path, case: Case) -> Bytes:
    """The picture [SIDE, SIDE, 3] of a case, with the pixels that the mask keeps."""
    import torch
    from PIL import Image

    pipeline = load(folder, case)
    stream = NoiseStream(case.seed)
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    channels, side = int(pipeline.vae.config.latent_channels), SIDE // 8
    arguments: dict[str, Any] = {"latents": torch.from_numpy(stream.initial((channels, side, side)))[None]}
    names = {"negative_prompt": case.negative, "num_inference_steps": case.steps, "guidance_scale": case.guidance}
    arguments |= {name: value for name, value in names.items() if value is not None}
    if case.style is not None:
        arguments["ip_adapter_image"] = Image.fromarray(cases.style())
    known, make = cases.photo(), np.full((SIDE, SIDE), 255, np.uint8)
    if case.mask is not None:
        make = cases.mask(case.mask)
    if case.mask is not None or denoiser.config.in_channels != channels:
        # Where noise starts below full strength, it starts from the picture.
        arguments |= {"image": Image.fromarray(known), "mask_image": Image.fromarray(make), "strength": 1.0}
    with quiet(), drawing(stream), torch.inference_mode():
        made = np.asarray(pipeline(cases.PROMPT, **arguments).images[0].convert("RGB"))
    # Known pixels are put back as the server does it.
    return blend(np.invert(make), known, made)


def load(folder: Path, case: Case) -> Any:
    """diffusers' pipeline of a case, with the scheduler that it names."""
    import diffusers

    with quiet():
        cls = getattr(diffusers, (WHOLE if case.mask is None else MASKED)[case.family])
        pipeline = cls.from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        if case.mask is not None and (shift := pipeline.vae.config.get("shift_factor")):
            # diffusers' inpainting pipeline of Stable Diffusion 3 forgets the shift that its other pipelines add.
            decode = pipeline.vae.decode
            pipeline.vae.decode = lambda latents, **options: decode(latents + shift, **options)
        if case.solver is not None:
            pipeline.scheduler = getattr(diffusers, CLASS_OF[case.solver]).from_config(pipeline.scheduler.config)
        if case.style is not None:
            extras.load_style(pipeline, case.style)
        extras.load_loras(pipeline, folder, case.adapters)
        return pipeline


@contextlib.contextmanager
def drawing(stream: NoiseStream) -> Iterator[None]:
    """Within this context schedulers draw the orchestrator's noise, and VAEs return the mean of their latents."""
    import torch
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
    from diffusers.schedulers import scheduling_ddpm

    steps = itertools.count()

    def draw(shape: Any, **_: Any) -> Any:
        return torch.from_numpy(stream.at_step(next(steps), tuple(shape)[1:]))[None]

    with (
        mock.patch.object(scheduling_ddpm, "randn_tensor", draw),
        mock.patch.object(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()),
    ):
        yield
