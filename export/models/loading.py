"""Loading a component's torch module: safetensors only, nothing missing, in evaluation mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from export.errors import BadFolderError
from export.layout import Source
from export.tensor_files import extents
from export.weight_files import files_of


def load_pretrained(cls: Any, source: Source, **options: object) -> nn.Module:
    """Loads a component as `cls`, a diffusers or transformers model class, in FP32 and evaluation mode.

    Raises:
        BadFolderError: if the weights cannot be read, lack a tensor, or hold one of another shape. The libraries would
            fill the gap with random numbers and only warn.
    """
    name = source.folder.name
    try:
        with plain_folder(source) as folder:
            model, info = cls.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
            )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadFolderError(f"{name}/ cannot be loaded as {cls.__name__}: {reason}") from error
    for problem, what in (("missing_keys", "lack"), ("mismatched_keys", "have another shape of")):
        names = sorted(str(name) for name in info.get(problem) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BadFolderError(f"{name}/ cannot be loaded: its weights {what} {names[0]}{more}.")
    module: nn.Module = model
    return module.eval()


@contextmanager
def plain_folder(source: Source) -> Iterator[Path]:
    """A folder in which the libraries find the component's weights under the plain names.

    That is its own, unless its weights are those of a variant: each library knows one spelling of a variant's index
    only, and neither falls back to the plain files.
    """
    plain = source.kind.weights
    if files_of(source.folder, plain, None) == source.weights:
        yield source.folder
        return
    with TemporaryDirectory() as base:
        folder = Path(base) / source.folder.name
        folder.mkdir()
        (folder / "config.json").symlink_to((source.folder / "config.json").resolve())
        names = [plain] if len(source.weights) == 1 else [path.name for path in source.weights]
        for name, path in zip(names, source.weights, strict=True):
            (folder / name).symlink_to(path.resolve())
        if len(names) > 1:
            weight_map = {extent.name: path.name for path in source.weights for extent in extents(path)}
            index = {"metadata": {"total_size": sum(path.stat().st_size for path in source.weights)}}
            (folder / f"{plain}.index.json").write_text(json.dumps(index | {"weight_map": weight_map}))
        yield folder


def load_diffusers(cls: Any, source: Source) -> nn.Module:
    """Loads a diffusers model; `accelerate`'s way of saving memory is not asked for, so it need not be installed."""
    return load_pretrained(cls, source, torch_dtype=torch.float32, low_cpu_mem_usage=False)


def load_transformers(cls: Any, source: Source) -> nn.Module:
    """Loads a transformers model with the attention whose graph is plain MatMul and Softmax."""
    return load_pretrained(cls, source, dtype=torch.float32, attn_implementation="eager")
