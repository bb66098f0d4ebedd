"""Safetensors files on disk: whether they are whole, and the offset of each tensor."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from export.errors import BadFolderError
from export.reading import parse_json

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}
"""Of one number, by safetensors' names; sizes of other dtypes are not checked."""
LARGEST_HEADER = 100 * 2**20
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Extent:
    """One tensor of a file."""

    name: str
    dtype: str
    """Safetensors' name: F16, BF16, F32, …"""
    shape: tuple[int, ...]
    offset: int
    """Bytes from the beginning of the file."""
    length: int


def extents(path: Path) -> list[Extent]:
    """The tensors of a file, in the order of their bytes.

    Raises:
        BadFolderError: if it is missing, truncated, or no safetensors file at all.
    """
    label = f"{path.parent.name}/{path.name}"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Any = parse_json(file.read(length)) if length <= min(size, LARGEST_HEADER) else None
        tensors = sorted(_read(header, 8 + length), key=lambda extent: (extent.offset, extent.name))
    except FileNotFoundError as error:
        raise BadFolderError(f"{label} is missing.") from error
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError) as error:
        raise BadFolderError(f"{label} is {_kind(path)}.") from error
    expected = max((extent.offset + extent.length for extent in tensors), default=8 + length)
    if size != expected:
        raise BadFolderError(f"{label} is truncated or damaged: {size} bytes, where its header says {expected}.")
    for extent in tensors:
        bits = BITS.get(extent.dtype)
        if bits is not None and prod(extent.shape) * bits != 8 * extent.length:
            raise BadFolderError(
                f"{label} is damaged: {extent.name} is {list(extent.shape)} of {extent.dtype}, "
                f"in {extent.length} bytes."
            )
    return tensors


def _kind(path: Path) -> str:
    """What a file is that cannot be read as safetensors."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(LFS_POINTER))
    except OSError as error:
        return f"not readable: {error.strerror}"
    if begin == LFS_POINTER:
        return "a pointer of Git LFS, not the file itself: run `git lfs pull` in its folder"
    return "not a safetensors file, or only the beginning of one"


def _read(header: Any, begin: int) -> Iterator[Extent]:
    for name, entry in header.items():
        if name != "__metadata__":
            (first, last), dtype, shape = entry["data_offsets"], entry["dtype"], entry["shape"]
            if not isinstance(dtype, str) or not all(isinstance(size, int) for size in (first, last, *shape)):
                raise TypeError(name)
            yield Extent(name, dtype, tuple(shape), begin + first, last - first)
