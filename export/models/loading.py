"""Loading a component's torch module: safetensors only, nothing missing, in evaluation mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.errors import BadFolderError


def load_pretrained(cls: Any, folder: Path, **options: object) -> nn.Module:
    """Loads `folder` as `cls`, a diffusers or transformers model class, in FP32 and evaluation mode.

    Raises:
        BadFolderError: if the weights cannot be read, lack a tensor, or hold one of another shape. The libraries would
            fill the gap with random numbers and only warn.
    """
    try:
        model, info = cls.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadFolderError(f"{folder.name}/ cannot be loaded as {cls.__name__}: {reason}") from error
    for problem, what in (("missing_keys", "lack"), ("mismatched_keys", "have another shape of")):
        names = sorted(str(name) for name in info.get(problem) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BadFolderError(f"{folder.name}/ cannot be loaded: its weights {what} {names[0]}{more}.")
    module: nn.Module = model
    return module.eval()


def load_diffusers(cls: Any, folder: Path) -> nn.Module:
    """Loads a diffusers model; `accelerate`'s way of saving memory is not asked for, so it need not be installed."""
    return load_pretrained(cls, folder, torch_dtype=torch.float32, low_cpu_mem_usage=False)


def load_transformers(cls: Any, folder: Path) -> nn.Module:
    """Loads a transformers model with the attention whose graph is plain MatMul and Softmax."""
    return load_pretrained(cls, folder, dtype=torch.float32, attn_implementation="eager")
