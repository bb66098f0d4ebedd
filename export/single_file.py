"""Safetensors files that people mistake for pipelines: which kind of file it is, by the names of its tensors."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from export.errors import BadFolderError
from export.tensor_files import extents

FileKind = Literal["checkpoint", "lora", "component", "other"]
ORIGINAL = ("model.diffusion_model.", "conditioner.embedders.", "cond_stage_model.", "first_stage_model.")
"""How tensors begin in the single file of a whole pipeline, as its authors and ComfyUI write it."""
LORA = (".lora_A.", ".lora_B.", ".lora_down.", ".lora_up.", ".lora.down.", ".lora.up.", "_lora.down.", "_lora.up.")
COMPONENT = ("down_blocks.", "up_blocks.", "transformer_blocks.", "encoder.", "decoder.", "text_model.")


def kind_of(path: Path) -> FileKind:
    """What a safetensors file holds.

    Raises:
        BadFolderError: if it cannot be read.
    """
    names = [extent.name for extent in extents(path)]
    if any(name.startswith(ORIGINAL) for name in names):
        return "checkpoint"
    if any(part in name for name in names for part in LORA):
        return "lora"
    return "component" if any(name.startswith(COMPONENT) for name in names) else "other"


CONFIGS = {
    "StableDiffusion3Pipeline": "stabilityai/stable-diffusion-3-medium-diffusers",
    "StableDiffusionXLInpaintPipeline": "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    "StableDiffusionXLPipeline": "stabilityai/stable-diffusion-xl-base-1.0",
    "StableDiffusionInpaintPipeline": "stable-diffusion-v1-5/stable-diffusion-inpainting",
    "StableDiffusionPipeline": "stable-diffusion-v1-5/stable-diffusion-v1-5",
}
"""Where the configs and tokenizers of a family are published; a single file has neither."""
INPUT = "model.diffusion_model.input_blocks.0.0.weight"
POOLED = "conditioner.embedders.1."
JOINT = "model.diffusion_model.joint_blocks."
INPAINTING = 9
"""Input channels of a UNet that inpaints: latents, mask, masked latents."""
UNET, VAE = "model.diffusion_model.", "first_stage_model."
PARTS = {
    "StableDiffusion3": {
        "transformer": UNET,
        "vae": VAE,
        "text_encoder": "text_encoders.clip_l.",
        "text_encoder_2": "text_encoders.clip_g.",
        "text_encoder_3": "text_encoders.t5xxl.",
    },
    "StableDiffusionXL": {
        "unet": UNET,
        "vae": VAE,
        "text_encoder": "conditioner.embedders.0.",
        "text_encoder_2": "conditioner.embedders.1.",
    },
    "StableDiffusion": {"unet": UNET, "vae": VAE, "text_encoder": "cond_stage_model."},
}
"""By family and component: how the names of its tensors begin."""


def parts_of(family: str) -> dict[str, str]:
    """The components of a pipeline class, each with the beginning of its tensors' names in a single file."""
    return PARTS[family.removesuffix("Pipeline").removesuffix("Inpaint")]


def family_of(path: Path) -> str | None:
    """The diffusers pipeline class of a single-file checkpoint; None for a family that cannot be exported."""
    shapes = {extent.name: extent.shape for extent in extents(path)}
    if _has(JOINT, shapes):
        return "StableDiffusion3Pipeline"
    channels = shapes.get(INPUT, (0, 0))[1]
    if not channels:
        return None
    kind = "Inpaint" if channels == INPAINTING else ""
    return f"StableDiffusionXL{kind}Pipeline" if _has(POOLED, shapes) else f"StableDiffusion{kind}Pipeline"


def _has(prefix: str, names: Collection[str]) -> bool:
    return any(name.startswith(prefix) for name in names)


def how_to_convert(path: Path) -> str:
    """The commands that make a pipeline folder of a single-file checkpoint.

    Raises:
        BadFolderError: if the file is of no family that can be exported.
    """
    family = family_of(path)
    if family is None:
        raise BadFolderError(
            f"{path.name} is a checkpoint in one file, of no family that can be exported (SD 1.5, SDXL, SD 3)."
        )
    repository = CONFIGS[family]
    configs = f"{repository.rpartition('/')[2]}-configs"
    return (
        f'hf download {repository} --local-dir {configs} --include "*.json" --include "*.txt" --include "*.model" && '
        f"python -m export convert {path} {path.with_suffix('')} --config {configs}"
    )
