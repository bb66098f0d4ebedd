"""Upscalers: which network a published safetensors file holds, by its keys, and how far its tiles see. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.tensor_files import extents
from orchestrator.repository import TILE_CORE

OURS, COMPACT, DEEP = "Upscaler", "SRVGGNetCompact", "RRDBNet"
CLASSES = (OURS, COMPACT, DEEP)
_DEEP_MARGIN = 16
"""RRDBNet sees hundreds of pixels, but hardly uses those farther away; Real-ESRGAN's own tiles overlap by 10."""
_MOST = 64
"""The largest number of convolutions, and the largest factor."""
_PREFIXES = ("params_ema.", "params.")
"""What BasicSR puts before every name of a checkpoint."""
_OLD_CONVS = {"model.0": "conv_first", "model.3": "conv_up1", "model.6": "conv_up2", "model.8": "conv_hr"} | {
    "model.10": "conv_last"
}
_OLD_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(weight|bias)")
_OLD_BODY = re.compile(r"model\.1\.sub\.\d+\.(weight|bias)")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """What a file of weights holds."""

    cls: str
    config: Mapping[str, int]
    """The arguments of the class."""
    names: Mapping[str, str]
    """The class's name of each tensor, by the file's."""


def read_layout(file: Path) -> Layout:
    """The network whose weights a file holds: RRDBNet in BasicSR's names or in ESRGAN's, or SRVGGNetCompact.

    Raises:
        BadFolderError: if it holds neither, or one that enlarges by another factor than 2 or 4.
    """
    shapes = {extent.name: extent.shape for extent in extents(file)}
    names = {name: _plain(name) for name in shapes}
    plain = {names[name]: shape for name, shape in shapes.items()}
    if plain.get("conv_first.weight") and "body.0.rdb1.conv1.weight" in plain:
        cls, config, factor = DEEP, _deep(plain), 4 // math.isqrt(max(1, plain["conv_first.weight"][1] // 3))
    elif len(plain.get("body.0.weight", ())) == 4 and len(plain.get("body.1.weight", ())) == 1:
        cls, config = COMPACT, _compact(plain)
        factor = config["upscale"]
    else:
        first = next(iter(shapes), "nothing")
        raise BadFolderError(
            f"{file.name} holds neither RRDBNet's weights nor SRVGGNetCompact's: its first tensor is {first}."
        )
    if factor not in (2, 4):
        raise BadFolderError(f"{file.name} holds a {cls} that enlarges {factor} times; it must be 2 or 4 times.")
    return Layout(cls, config, names)


def _plain(name: str) -> str:
    """BasicSR's name of a tensor."""
    name = next((name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)), name)
    if block := _OLD_BLOCK.fullmatch(name):
        return "body.{}.rdb{}.conv{}.{}".format(*block.groups())
    if body := _OLD_BODY.fullmatch(name):
        return f"conv_body.{body.group(1)}"
    layer, _, kind = name.rpartition(".")
    return f"{_OLD_CONVS[layer]}.{kind}" if layer in _OLD_CONVS else name


def _deep(shapes: Mapping[str, Shape]) -> dict[str, int]:
    first = shapes["conv_first.weight"]
    blocks = {int(name.split(".")[1]) for name in shapes if name.startswith("body.")}
    return {
        "num_feat": first[0],
        "num_block": max(blocks) + 1,
        "num_grow_ch": shapes["body.0.rdb1.conv1.weight"][0],
        "scale": 2 if first[1] == 12 else 4,
    }


def _compact(shapes: Mapping[str, Shape]) -> dict[str, int]:
    last = max(int(name.split(".")[1]) for name in shapes if name.startswith("body."))
    outputs = shapes[f"body.{last}.weight"][0]
    return {
        "num_feat": shapes["body.0.weight"][0],
        "num_conv": (last - 2) // 2,
        "upscale": math.isqrt(outputs // 3),
    }


def geometry(config: Mapping[str, Any]) -> tuple[int, int]:
    """The side of a tile and the factor, of a component's config.json.

    Raises:
        BadFolderError: a value that they follow from is missing, or is no whole number from 1 to 64.
    """
    cls = config["_class_name"]
    if cls == OURS:
        # Two pixels more for the mean that is taken away from the picture.
        margin, factor = _count(config, "convolutions") + 4, _count(config, "factor")
    elif cls == COMPACT:
        margin, factor = _count(config, "num_conv") + 2, _count(config, "upscale")
    else:
        margin, factor = _DEEP_MARGIN, _count(config, "scale")
    return TILE_CORE + 2 * margin, factor


def _count(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if type(value) is not int or not 1 <= value <= _MOST:
        raise BadFolderError(f"upscaler/config.json: {key} must be a whole number from 1 to {_MOST}.")
    return value
