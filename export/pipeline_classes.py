"""diffusers' pipeline classes: what their calls default to, and what their constructors do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.layout import Source
from export.reading import has_file, read_json

INDEX = "model_index.json"


@dataclass(frozen=True)
class PipelineClass:
    """The defaults of one class."""

    steps: int
    """`num_inference_steps` of its call."""
    guidance_scale: float
    """`guidance_scale` of its call."""
    zeros: bool = False
    """`force_zeros_for_empty_prompt` of its constructor; classes without the argument encode the empty prompt."""


CLASSES: Mapping[str, PipelineClass] = {
    "StableDiffusionPipeline": PipelineClass(50, 7.5),
    "StableDiffusionImg2ImgPipeline": PipelineClass(50, 7.5),
    "StableDiffusionInpaintPipeline": PipelineClass(50, 7.5),
    "StableDiffusionXLPipeline": PipelineClass(50, 5.0, zeros=True),
    "StableDiffusionXLImg2ImgPipeline": PipelineClass(50, 5.0, zeros=True),
    "StableDiffusionXLInpaintPipeline": PipelineClass(50, 7.5, zeros=True),
    "StableDiffusion3Pipeline": PipelineClass(28, 7.0),
    "StableDiffusion3Img2ImgPipeline": PipelineClass(50, 7.0),
    "StableDiffusion3InpaintPipeline": PipelineClass(50, 7.0),
}


def read_index(folder: Path) -> dict[str, Any]:
    """A folder's `model_index.json`; empty where it has none."""
    return read_json(folder / INDEX) if has_file(folder / INDEX) else {}


def class_of(index: Mapping[str, Any], sources: Mapping[str, Source]) -> PipelineClass:
    """The class that a folder's index names; where it names none of these, the one that its components belong to."""
    return CLASSES.get(str(index.get("_class_name"))) or CLASSES[class_name(sources)]


def class_name(sources: Mapping[str, Source]) -> str:
    """The class that loads such components."""
    denoiser = sources["denoiser"]
    if denoiser.kind.name == "denoiser_dit":
        return "StableDiffusion3Pipeline"
    family = "StableDiffusionXL" if "text_encoder_g" in sources else "StableDiffusion"
    inpaints = denoiser.config["in_channels"] != sources["vae_encoder"].config["latent_channels"]
    return f"{family}InpaintPipeline" if inpaints else f"{family}Pipeline"
