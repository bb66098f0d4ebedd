"""The conventions that a folder's models were trained with, as `pipeline.json` names them for the orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.errors import BadFolderError
from export.pipeline_classes import PipelineClass
from export.preprocess import ClipPreprocess

KEY = "conventions"
OURS: Mapping[str, Any] = {
    "latent_mask": "area",
    "empty_negative": "encode",
    "unconditional_image": "off",
    "hole_colours": "continued",
}
"""Those of Backdrop's training, which writes them into its folders' `backdrop.json`."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "latent_mask": ("area", "nearest"),
    "empty_negative": ("encode", "zeros"),
    "unconditional_image": ("off", "zeros"),
    "hole_colours": ("continued", "decoded"),
}


def conventions_of(
    cls: PipelineClass, index: Mapping[str, Any], clip: ClipPreprocess | None, own: Mapping[str, Any]
) -> dict[str, Any]:
    """A pipeline's conventions: those that its settings name, else diffusers'.

    Args:
        cls: The pipeline's class.
        index: Its `model_index.json`.
        clip: The preprocessing of its image encoder, where a published IP-Adapter reads it; else None.
        own: `conventions` of its settings.

    Raises:
        BadFolderError: if the settings name an unknown convention, or one that the components cannot follow.
    """
    zeros = bool(index.get("force_zeros_for_empty_prompt", True)) and cls.zeros
    conventions: dict[str, Any] = {
        "latent_mask": "nearest",
        "empty_negative": "zeros" if zeros else "encode",
        "unconditional_image": "off" if clip is None else "zeros",
        "hole_colours": "decoded",
    }
    if clip is not None:
        conventions["image_preprocess"] = clip.convention
    for key, value in own.items():
        if key not in CHOICES:
            raise BadFolderError(f"backdrop.json: conventions.{key} cannot be set; there are {', '.join(CHOICES)}.")
        if value not in CHOICES[key]:
            raise BadFolderError(
                f"backdrop.json: conventions.{key} is {value!r}; it is one of {', '.join(CHOICES[key])}."
            )
    return conventions | dict(own)
