"""The layout of a weights folder: diffusers' own, fp16 safetensors, swapped into place in one rename."""

from __future__ import annotations

import copy
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from transformers import CLIPTokenizer

from export.networks import image_attention
from training.encoders import tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folder:
    """What goes into one weights folder."""

    index: Mapping[str, Any]
    """The content of `model_index.json`."""
    settings: Mapping[str, Any]
    """The content of `backdrop.json`: what a diffusers folder has no place for."""
    scheduler: Any
    components: Mapping[str, Any]
    """Networks by folder name; each has diffusers' or transformers' `save_pretrained`."""
    image_layers: nn.ModuleDict | None = None
    """The UNet's image attention, if it has any."""
    tokenizers: Mapping[str, CLIPTokenizer] = field(default_factory=dict)


def write(out: Path, folder: Folder) -> None:
    """Writes the whole folder beside `out`, then renames it over `out`: a reader never sees half of it."""
    staging = out.with_name(out.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name, network in folder.components.items():
        # A copy: halving in place would halve the weights that training goes on with.
        copy.deepcopy(network).half().save_pretrained(staging / name)
    for name, words in folder.tokenizers.items():
        tokenizer.save(words, staging / name)
    if folder.image_layers is not None:
        image_attention.save(folder.image_layers, staging / "ip_adapter")
    folder.scheduler.save_pretrained(staging / "scheduler")
    for name, content in (("model_index.json", folder.index), ("backdrop.json", folder.settings)):
        (staging / name).write_text(json.dumps(content, indent=2) + "\n")
    for weights in staging.rglob("*.safetensors"):
        weights.chmod(0o644)  # the library writes them for their owner alone
    _swap(staging, out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    log.info("%s: %.1f MB", out, size / 1e6)


def _swap(staging: Path, out: Path) -> None:
    previous = out.with_name(out.name + ".previous")
    shutil.rmtree(previous, ignore_errors=True)
    if out.exists():
        out.rename(previous)
    staging.rename(out)
    shutil.rmtree(previous, ignore_errors=True)
