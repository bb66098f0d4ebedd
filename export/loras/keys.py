"""The keys of a LoRA file, taken apart: which layer, which part of the update, or what the file is instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from export.errors import BadFolderError


@dataclass(frozen=True)
class Ending:
    """What follows a layer's name in a key."""

    pattern: str
    """A regular expression; its group `adapter` is the adapter's name, where the format writes one."""
    part: str
    """The part of the update: down, up, mid or alpha."""
    example: str
    formats: str
    """Who writes it."""


# peft's own name of an adapter may follow; "weight" is no such name.
_ADAPTER = r"(?:\.(?P<adapter>(?!weight$)[^.]+))?(?:\.weight)?"
ENDINGS = (
    Ending(rf"\.lora_A{_ADAPTER}", "down", ".lora_A.weight, .lora_A.NAME.weight", "peft, diffusers, ComfyUI"),
    Ending(rf"\.lora_B{_ADAPTER}", "up", ".lora_B.weight, .lora_B.NAME.weight", "peft, diffusers, ComfyUI"),
    Ending(r"[._]lora\.down\.weight", "down", ".lora.down.weight, _lora.down.weight", "diffusers of 2023"),
    Ending(r"[._]lora\.up\.weight", "up", ".lora.up.weight, _lora.up.weight", "diffusers of 2023"),
    Ending(r"\.lora_linear_layer\.down\.weight", "down", ".lora_linear_layer.down.weight", "diffusers of 2023"),
    Ending(r"\.lora_linear_layer\.up\.weight", "up", ".lora_linear_layer.up.weight", "diffusers of 2023"),
    Ending(r"\.lora_down\.weight", "down", ".lora_down.weight", "kohya, LyCORIS, OneTrainer"),
    Ending(r"\.lora_up\.weight", "up", ".lora_up.weight", "kohya, LyCORIS, OneTrainer"),
    Ending(r"\.lora_mid\.weight", "mid", ".lora_mid.weight", "LyCORIS: the Tucker core of a convolution"),
    Ending(r"(?:[._]lora|\.lora_linear_layer)?\.alpha", "alpha", ".alpha", "kohya, LyCORIS, OneTrainer"),
)
_ENDINGS = tuple((re.compile(rf"(?P<layer>.+?){ending.pattern}"), ending.part) for ending in ENDINGS)


@dataclass(frozen=True)
class Foreign:
    """Another way to change a network than up @ down."""

    pattern: str
    """A regular expression that is searched in keys."""
    what: str


FOREIGN = (
    Foreign(r"\.(lora_magnitude_vector|dora_scale)\b", "a DoRA"),
    Foreign(r"\.hada_(w|t)\d", "a LoHa"),
    Foreign(r"\.lokr_(w|t)\d", "a LoKr"),
    Foreign(r"\.(a1|a2|b1|b2)\.weight$", "a GLoRA"),
    Foreign(r"\.(oft_|boft_)", "an OFT"),
    Foreign(r"\.(ia3_l|on_input$)", "an IA3"),
    Foreign(r"\.vera_", "a VeRA"),
    Foreign(r"\.lora_(A|B|down|up)(\.[^.]+)?\.bias$", "a LoRA with biases"),
    Foreign(r"\.lora_embedding_[AB]\b", "a LoRA of an embedding"),
    Foreign(r"\.modules_to_save\.", "a LoRA with whole modules"),
    Foreign(r"\.base_layer\.", "a LoRA together with the weights of its model"),
    Foreign(r"\.(diff|diff_b|set_weight|reshape_weight)$", "a full difference"),
    Foreign(r"\.(w_norm|b_norm)$", "a difference of norms"),
    Foreign(r"\.bias$", "a LoRA with biases"),
)
"""The first that fits a key names the file."""
_FOREIGN = tuple((re.compile(foreign.pattern), foreign.what) for foreign in FOREIGN)


@dataclass(frozen=True)
class Key:
    """One key."""

    layer: str
    """As the file writes it, prefixes included."""
    part: str
    adapter: str | None
    """peft's name of the adapter, where the key has one."""


def split(file: str, key: str) -> Key:
    """Takes a key apart.

    Raises:
        BadFolderError: if it belongs to something other than a plain LoRA.
    """
    for pattern, what in _FOREIGN:
        if pattern.search(key):
            raise BadFolderError(f"{file} is {what} ({key}); only plain LoRAs (down, up, alpha) can be served.")
    for pattern, part in _ENDINGS:
        match = pattern.fullmatch(key)
        if match is not None:
            return Key(match["layer"], part, match.groupdict().get("adapter"))
    raise BadFolderError(f"{file} has a key that no LoRA format knows: {key}.")
