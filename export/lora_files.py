"""LoRA files of peft, diffusers and kohya, read to one form: layer name → down, up, strength."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from export.errors import BadFolderError
from export.lora_names import LayerNames
from export.tensor_files import PICKLES, extents

ENDINGS = {
    "lora_A.weight": "down",
    "lora_A.default.weight": "down",
    "lora.down.weight": "down",
    "lora_down.weight": "down",
    "lora_B.weight": "up",
    "lora_B.default.weight": "up",
    "lora.up.weight": "up",
    "lora_up.weight": "up",
    "alpha": "alpha",
}
"""What follows the layer's name in a key, and what it is."""
OLD_PROCESSOR = re.compile(r"(.+)\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight")
"""diffusers' keys of 2023, when a LoRA was an attention processor."""
FOREIGN = {
    "lora_magnitude_vector": "a DoRA",
    "dora_scale": "a DoRA",
    "hada_w": "a LoHa",
    "lokr_w": "a LoKr",
    "lora_mid": "a LoRA with a Tucker core",
    "lora_A.bias": "a LoRA with biases",
    "lora_B.bias": "a LoRA with biases",
    "diff_b": "a full difference",
    ".diff": "a full difference",
}
"""Other ways to change a network, by what their keys hold. None of them is up @ down."""
TEXT_ENCODERS = ("text_encoder.", "text_encoder_2.", "lora_te_", "lora_te1_", "lora_te2_", "te1.", "te2.")
WRAPPERS = ("base_model.model.", "diffusion_model.", "unet.", "transformer.")
"""What formats put before a layer's name; may stand one after the other."""


@dataclass(frozen=True)
class Update:
    """A low-rank change of one layer's weight: strength · up @ down, in the weight's shape. FP32."""

    down: Tensor
    """[r, in·k·k], the columns in the weight's order."""
    up: Tensor
    """[out, r]."""
    strength: float
    """alpha / r; 1 where the file has no alpha."""

    @property
    def rank(self) -> int:
        """r."""
        return self.down.shape[0]


@dataclass(frozen=True)
class Lora:
    """One file."""

    updates: Mapping[str, Update]
    """By the layer's name in the network."""
    unserved: int
    """How many of its tensors are for the text encoders, whose adapters are not served."""

    @property
    def rank(self) -> int:
        """The largest rank of a layer."""
        return max(update.rank for update in self.updates.values())


def read_lora(path: Path, layers: Mapping[str, tuple[int, ...]]) -> Lora:
    """Reads a LoRA file for a network.

    Args:
        path: A safetensors file in peft's, diffusers' or kohya's format.
        layers: The shape of every weight of the network that may be adapted, by the layer's name: [out, in] of linear
            layers, [out, in, k, k] of convolutions.

    Raises:
        BadFolderError: if it is not a plain LoRA of this network, with one sentence that says why.
    """
    if path.suffix in PICKLES:
        raise BadFolderError(
            f"{path.name} is a pickle, which can run code when it is read; save the LoRA as safetensors."
        )
    extents(path)
    names, parts, unserved = LayerNames(layers), defaultdict[str, dict[str, Tensor]](dict), 0
    with safe_open(path, "pt") as file:
        for key in sorted(file.keys()):
            if key.startswith(TEXT_ENCODERS):
                unserved += 1
                continue
            layer, part = split(path, key)
            parts[_layer(path, layer, names)][part] = file.get_tensor(key).float()
    if not parts:
        what = "only text encoders" if unserved else "nothing"
        raise BadFolderError(f"{path.name} adapts {what}; there is no layer of the denoiser in it.")
    return Lora({name: update(path, name, parts[name], layers[name]) for name in sorted(parts)}, unserved)


def split(path: Path, key: str) -> tuple[str, str]:
    """A key's layer, as the file writes it, and which part of the update it is: down, up or alpha."""
    for mark, what in FOREIGN.items():
        if mark in key:
            raise BadFolderError(f"{path.name} is {what} ({key}); only plain LoRAs (down, up, alpha) can be served.")
    old = OLD_PROCESSOR.fullmatch(key)
    if old is not None:
        layer = old[2] if old[2] != "to_out" else "to_out.0"
        return _unwrapped(f"{old[1]}.{layer}"), old[3]
    for ending, part in ENDINGS.items():
        if key.endswith(f".{ending}"):
            return _unwrapped(key.removesuffix(f".{ending}")), part
    raise BadFolderError(f"{path.name} has a key that no LoRA format knows: {key}.")


def _unwrapped(layer: str) -> str:
    wrapper = next((wrapper for wrapper in WRAPPERS if layer.startswith(wrapper)), None)
    return layer if wrapper is None else _unwrapped(layer.removeprefix(wrapper))


def _layer(path: Path, written: str, names: LayerNames) -> str:
    name = names.find(written)
    if name is None:
        raise BadFolderError(f"{path.name} adapts {written}, a layer that this denoiser does not have.")
    return name


def update(path: Path, name: str, parts: Mapping[str, Tensor], shape: tuple[int, ...]) -> Update:
    """One layer's update, with shapes checked against the weight's.

    Raises:
        BadFolderError: if a half is missing, or they do not fit each other or the layer.
    """
    missing = [part for part in ("down", "up") if part not in parts]
    if missing:
        raise BadFolderError(f"{path.name} has no {missing[0]} matrix for {name}.")
    down, up = parts["down"], parts["up"]
    rank = down.shape[0] if down.ndim else 0
    # A 1 × 1 convolution and a linear layer are the same thing, and files write one for the other.
    fits = rank > 0 and down[0].numel() == torch.Size(shape[1:]).numel() and up.numel() == shape[0] * rank
    if not fits or up.shape[0] != shape[0] or down.shape[1] != shape[1]:
        raise BadFolderError(
            f"{path.name}: {name} is {list(shape)}, which down {list(down.shape)} and up {list(up.shape)} do not fit."
        )
    if not (down.isfinite().all() and up.isfinite().all()):
        raise BadFolderError(f"{path.name}: {name} has values that are not finite.")
    alpha = float(parts["alpha"]) if "alpha" in parts else float(rank)
    return Update(down.flatten(1), up.flatten(1), alpha / rank)
