"""Writes a weights folder in diffusers' layout, with fp16 safetensors, and replaces the old one by a rename."""

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
class FolderContent:
    """The content of one weights folder."""

    index: Mapping[str, Any]
    """The content of `model_index.json`."""
    settings: Mapping[str, Any]
    """The content of `backdrop.json`: settings without a place in a diffusers folder."""
    scheduler: Any
    components: Mapping[str, Any]
    """Networks by folder name; each has `save_pretrained`."""
    image_layers: nn.ModuleDict | None = None
    """The UNet's image attention layers, if it has them."""
    tokenizers: Mapping[str, CLIPTokenizer] = field(default_factory=dict)


def write(out: Path, folder: FolderContent) -> None:
    """Writes to a staging folder and renames it to `out`, so that a reader never sees an incomplete folder."""
    staging = out.with_name(out.name + ".staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for name, network in folder.components.items():
        # A copy: `half` in place would convert the weights that training continues with.
        copy.deepcopy(network).half().save_pretrained(staging / name)
    for name, words in folder.tokenizers.items():
        tokenizer.save(words, staging / name)
    if folder.image_layers is not None:
        image_attention.save(folder.image_layers, staging / "ip_adapter")
    folder.scheduler.save_pretrained(staging / "scheduler")
    for name, content in (("model_index.json", folder.index), ("backdrop.json", folder.settings)):
        (staging / name).write_text(json.dumps(content, indent=2) + "\n")
    for weights in staging.rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors writes files that only the owner can read
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
