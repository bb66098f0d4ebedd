"""The strength of a layer's update: from alpha tensors, from a file's metadata, from peft's config beside the file.

    strengths = Strengths.of(label, metadata, config)
    strengths.of_layer(names, rank, alpha)      # alpha: the layer's own tensor, if the file has one

Where several say it, they have to agree; where none does, it is 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from export.errors import BadFolderError
from export.keys.values import is_number
from export.loras.peft_config import PeftConfig, read_config
from export.reading import parse_json

ADAPTER_METADATA = "lora_adapter_metadata"
"""diffusers' key for a JSON object: fields of peft's `LoraConfig`, with a component's name before each."""
COMPONENTS = ("unet.", "transformer.", "base_model.model.", "")
"""What stands before fields of the denoiser."""
PLAIN = {
    "lora_alpha": "lora_alpha",
    "network_alpha": "lora_alpha",
    "alpha": "lora_alpha",
    "r": "r",
    "rank": "r",
    "lora_rank": "r",
    "use_rslora": "use_rslora",
}
"""What trainers write into metadata as text, by the names that peft's config has for it."""
RSLORA = ("rslora", "userslora", "rankstabilized")
"""kohya's and LyCORIS' arguments that say rsLoRA, without underscores."""
TOLERANCE = 0.01
"""Relative; bf16 tensors of alpha have eight bits."""


@dataclass(frozen=True)
class StabilisedKohya:
    """kohya's record of an rsLoRA.

    Its alpha tensors do not say which kind they are: LyCORIS writes alpha · √r, so that alpha ÷ r is right for every
    reader; forks of kohya write alpha itself. The alpha that the trainer was given tells them apart.
    """

    label: str
    alphas: tuple[float, ...]
    """What the trainer was given, for linear layers and for convolutions."""

    def strength(self, name: str, rank: int, tensor: float) -> float:
        """The strength of a layer with this alpha tensor."""
        root = math.sqrt(rank)
        readings = {root: tensor, float(rank): tensor / root}
        strengths = {
            tensor / divisor
            for divisor, alpha in readings.items()
            if any(math.isclose(alpha, own, rel_tol=TOLERANCE) for own in self.alphas)
        }
        if len(strengths) != 1:
            raise BadFolderError(
                f"{self.label} is an rsLoRA by its metadata, and its alpha of {name}, {tensor:g}, may be meant for "
                f"division by the rank or by its root; save it again as a peft folder with use_rslora."
            )
        return strengths.pop()


@dataclass(frozen=True)
class Strengths:
    """What says the strengths of a file's layers."""

    label: str
    configs: tuple[PeftConfig, ...]
    rslora: StabilisedKohya | None

    @classmethod
    def of(cls, label: str, metadata: Mapping[str, str], config: Mapping[str, Any] | None) -> Strengths:
        """Reads a safetensors file's metadata, and the adapter_config.json that belongs to it.

        Raises:
            BadFolderError: if one of them describes something other than a plain LoRA, or is not readable.
        """
        configs = [] if config is None else [read_config(config, f"{label}/adapter_config.json")]
        for fields, where in (
            (adapter_metadata(label, metadata), ADAPTER_METADATA),
            (plain_metadata(metadata), "metadata"),
        ):
            if fields:
                configs.append(read_config(fields, f"{label}: {where}"))
        return cls(label, tuple(configs), stabilised_kohya(label, metadata))

    def of_layer(self, names: Collection[str], rank: int, tensor: float | None) -> float:
        """The strength of a layer.

        Args:
            names: What the network and the file call it.
            rank: Of its matrices.
            tensor: Its alpha tensor; None if the file has none.

        Raises:
            BadFolderError: if it is not finite, or if two say different ones.
        """
        name = next(iter(names))
        strengths = [(config.label, config.strength(names, rank)) for config in self.configs]
        if tensor is not None:
            if not math.isfinite(tensor):
                raise BadFolderError(f"{self.label}: alpha of {name} is {tensor}, not a finite number.")
            own = tensor / rank if self.rslora is None else self.rslora.strength(name, rank, tensor)
            strengths.insert(0, (f"{self.label}: its alpha tensor", own))
        if not strengths:
            if self.rslora is not None:
                raise BadFolderError(f"{self.label} is an rsLoRA by its metadata, but has no alpha for {name}.")
            return 1.0
        (first, strength), *others = strengths
        for other, value in others:
            if not math.isclose(value, strength, rel_tol=TOLERANCE):
                raise BadFolderError(
                    f"{first} says strength {strength:g} for {name}, {other} says {value:g}; remove one of them."
                )
        return strength


def expect_alpha(label: str, metadata: Mapping[str, str], keys: Collection[str]) -> None:
    """Refuses a file of kohya's that has lost its alpha tensors, without which every loader would take strength 1.

    Files of other formats keep kohya's metadata when they are converted, with alpha inside their matrices.
    """
    alpha, rank = number(metadata.get("ss_network_alpha")), number(metadata.get("ss_network_dim"))
    kohya = any(key.endswith(".lora_down.weight") for key in keys)
    if kohya and is_number(alpha) and alpha != rank and not any(key.endswith("alpha") for key in keys):
        raise BadFolderError(
            f"{label} was trained with alpha {alpha:g} (ss_network_alpha), but has no alpha tensors; restore them."
        )


def adapter_metadata(label: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The fields of peft's config that diffusers has written for the denoiser."""
    text = metadata.get(ADAPTER_METADATA)
    if not text:
        return {}
    try:
        content = parse_json(text)
    except ValueError as error:
        raise BadFolderError(f"{label}: {ADAPTER_METADATA} is not readable JSON.") from error
    if not isinstance(content, dict):
        raise BadFolderError(f"{label}: {ADAPTER_METADATA} is not a JSON object.")
    return of_denoiser(content)


def plain_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The strength as trainers write it into metadata without diffusers' key; empty without an alpha."""
    fields: dict[str, Any] = {}
    for name, text in of_denoiser(metadata).items():
        if name in PLAIN and text not in ("", "None", "null"):
            fields[PLAIN[name]] = number(text)
    return fields if "lora_alpha" in fields else {}


def of_denoiser(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a flat mapping that are the denoiser's, without its name; those of no component if it has none."""
    for prefix in COMPONENTS:
        fields = {name.removeprefix(prefix): value for name, value in content.items() if name.startswith(prefix)}
        if fields:
            # What still has a dot is another component's.
            return {name: value for name, value in fields.items() if prefix or "." not in name}
    return {}


def stabilised_kohya(label: str, metadata: Mapping[str, str]) -> StabilisedKohya | None:
    """kohya's record of an rsLoRA; None if the file is none."""
    try:
        arguments = parse_json(metadata.get("ss_network_args") or "{}")
    except ValueError as error:
        raise BadFolderError(f"{label}: ss_network_args is not readable JSON.") from error
    arguments = arguments if isinstance(arguments, dict) else {}
    entries = {**{name.removeprefix("ss_"): text for name, text in metadata.items()}, **arguments}
    if not any(re.sub("[^a-z]", "", name.lower()) in RSLORA and number(value) == 1 for name, value in entries.items()):
        return None
    alphas = (number(entries.get(name)) for name in ("network_alpha", "conv_alpha", "linear_alpha", "lora_alpha"))
    return StabilisedKohya(label, tuple(float(alpha) for alpha in alphas if is_number(alpha)))


def number(value: Any) -> Any:
    """A value that metadata, which is all text, writes as Python or JSON does."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value.strip().lower() if value.strip() in ("True", "False") else value)
    except ValueError:
        return value
