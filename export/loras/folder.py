"""The files of an adapter: a safetensors file, a folder of peft's with its config, or a folder with one such file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.files import digest
from export.reading import expect_path, has_file, read_json
from export.tensor_files import PICKLES
from export.weight_files import weight_files

CONFIG = "adapter_config.json"
PEFT = "adapter_model.safetensors"
DIFFUSERS = "pytorch_lora_weights.safetensors"
_PEFT_FILE = re.compile(r"adapter_model(-\d+-of-\d+)?\.safetensors")
"""peft's file, or one of its shards."""


@dataclass(frozen=True)
class AdapterFiles:
    """What an adapter is read from."""

    weights: tuple[Path, ...]
    """Safetensors files; several if peft has sharded them."""
    config: Path | None
    """peft's config."""

    def digest(self) -> str:
        """sha256 of the one file; of the names and digests of all, where there are several."""
        files = sorted((*self.weights, *(() if self.config is None else (self.config,))))
        if len(files) == 1:
            return digest(files[0])
        lines = "".join(f"{file.name} {digest(file)}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()

    def content(self) -> Mapping[str, Any] | None:
        """peft's config; None where there is none."""
        return None if self.config is None else read_json(self.config)


def adapter_files(path: Path) -> AdapterFiles:
    """The files of an adapter.

    Args:
        path: A safetensors file, or a folder.

    Raises:
        BadFolderError: if there are none, several that could be meant, or pickles.
    """
    expect_path(path)
    if path.is_dir():
        return _files_of_folder(path)
    if path.suffix in PICKLES:
        raise BadFolderError(
            f"{path.name} is a pickle, which can run code when it is read; save the LoRA as safetensors."
        )
    config, peft = path.parent / CONFIG, _PEFT_FILE.fullmatch(path.name) is not None
    if has_file(config) and (peft or len(list(path.parent.glob("*.safetensors"))) == 1):
        return AdapterFiles(weight_files(path.parent, PEFT) if peft else (path,), config)
    if peft and path.is_file():
        raise BadFolderError(f"{path.name} has no {CONFIG} beside it, which says how strong the adapter is.")
    return AdapterFiles((path,), None)


def _files_of_folder(folder: Path) -> AdapterFiles:
    config = folder / CONFIG
    files = sorted(entry for entry in folder.iterdir() if entry.suffix == ".safetensors")
    if has_file(config):
        alone = len(files) == 1 and not _PEFT_FILE.fullmatch(files[0].name)
        return AdapterFiles(tuple(files) if alone else weight_files(folder, PEFT), config)
    files = [entry for entry in files if entry.name == DIFFUSERS] or files
    if len(files) == 1 and not _PEFT_FILE.fullmatch(files[0].name):
        return AdapterFiles((files[0],), None)
    inner = [f"{entry.parent.name}/" for entry in sorted(folder.glob(f"*/{CONFIG}"))]
    choices = inner or [entry.name for entry in files]
    hint = f"; give one of {', '.join(choices)}" if choices else ""
    raise BadFolderError(f"{folder.name}/ has no {CONFIG} and no single safetensors file{hint}.")
