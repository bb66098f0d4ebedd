"""Layer names in LoRA files: the network's own, with underscores for dots, or those of SDXL's first code."""

from __future__ import annotations

import re
from collections.abc import Iterable

KOHYA = ("lora_unet_", "lora_transformer_")
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_out": "out.2",
}
DOWN = re.compile(r"down_blocks\.(\d+)\.(resnets|attentions|downsamplers)\.(\d+)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")
UP = re.compile(r"up_blocks\.(\d+)\.(resnets|attentions|upsamplers)\.(\d+)\.(.+)")


class LayerNames:
    """Finds a network's layer by any of the names that files give it."""

    def __init__(self, layers: Iterable[str]) -> None:
        """Learns the names of a network's layers."""
        self._layers = dict.fromkeys(layers)
        self._flat = {old.replace(".", "_"): name for name, old in original_names(self._layers).items()}
        # The network's own names come last: they win, should two be alike.
        self._flat |= {name.replace(".", "_"): name for name in self._layers}

    def find(self, written: str) -> str | None:
        """The layer's own name; None if the network has no such layer."""
        if written in self._layers:
            return written
        for prefix in KOHYA:
            if written.startswith(prefix):
                return self._flat.get(written.removeprefix(prefix))
        return None


def original_names(layers: Iterable[str]) -> dict[str, str]:
    """What the UNet's first code (ldm, sgm) calls its layers, by diffusers' names; kohya's SDXL files follow it.

    There, the blocks of all levels are numbered in one row: `input_blocks.<n>.<0: resnet, 1: attention>`, where each
    level has its resnets and, but for the last, a downsampler; `output_blocks` likewise, one resnet more to a level.
    """
    layers = list(layers)
    down = [(int(m[1]), int(m[3])) for m in map(DOWN.fullmatch, layers) if m and m[2] == "resnets"]
    depth = 1 + max((number for _, number in down), default=0)
    attended = {int(m[1]) for m in map(UP.fullmatch, layers) if m and m[2] == "attentions"}
    originals = {}
    for name in layers:
        original = ENDS.get(name) or _blocks(name, depth, attended)
        if original is not None:
            originals[name] = original
    return originals


def _blocks(name: str, depth: int, attended: set[int]) -> str | None:
    if m := DOWN.fullmatch(name):
        block, kind, number, rest = int(m[1]), m[2], int(m[3]), m[4]
        if kind == "downsamplers":
            return f"input_blocks.{(block + 1) * (depth + 1)}.0.op"
        at = 1 + block * (depth + 1) + number
        return f"input_blocks.{at}.{_inner(kind, rest)}"
    if m := MIDDLE.fullmatch(name):
        place = 1 if m[1] == "attentions" else 2 * int(m[2])
        return f"middle_block.{place}.{RESNET.get(m[3], m[3]) if m[1] == 'resnets' else m[3]}"
    if m := UP.fullmatch(name):
        block, kind, number, rest = int(m[1]), m[2], int(m[3]), m[4]
        if kind == "upsamplers":
            return f"output_blocks.{(block + 1) * (depth + 1) - 1}.{2 if block in attended else 1}.conv"
        return f"output_blocks.{block * (depth + 1) + number}.{_inner(kind, rest)}"
    return None


def _inner(kind: str, rest: str) -> str:
    return f"1.{rest}" if kind == "attentions" else f"0.{RESNET.get(rest, rest)}"
