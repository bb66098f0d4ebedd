"""The weights files beside a graph: the source's own bytes, what a graph reads of them, or fp16 in place of FP32.

A file that a graph reads in part would lie in the repository once for each model that reads another part, as a VAE does
for its encoder and its decoder. So a file with FP32 numbers that the graph does not read is cut to those that it reads.
A file of fp16 numbers is copied whole: git and the object store keep equal files once (decision 9).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from export.external import is_external
from export.tensor_files import BITS, Extent, extents

ROUND_FROM = 1024
"""Tensors of at least so many values are stored as fp16. Smaller ones (norms, biases) would save next to nothing."""
FP16_MAX = 65504.0
WIDE = frozenset({"F32", "F64"})
"""Dtypes of more than 16 bits."""
CHUNK = 64 * 2**20
"""Bytes that are read at once: files are larger than memory has room for beside the network."""


@dataclass(frozen=True)
class Part:
    """A tensor of a file that is going to be written."""

    extent: Extent
    """Where its numbers are now."""
    dtype: str
    """As it will be stored: its own, or F16."""

    @property
    def length(self) -> int:
        """Its bytes in the new file."""
        return (
            prod(self.extent.shape) * BITS[self.dtype] // 8 if self.dtype != self.extent.dtype else self.extent.length
        )


def is_large(extent: Extent) -> bool:
    """Whether a tensor's numbers are wider than fp16 and so many that storing them twice, or as FP32, matters."""
    return extent.dtype in WIDE and prod(extent.shape) >= ROUND_FROM


def rounded(files: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Files whose large FP32 tensors are rounded to fp16, written into `folder` where there are any.

    Args:
        files: Safetensors files by the names that they get beside the graph.
        folder: Where new files go; must exist.
    """
    result = dict(files)
    for name, path in files.items():
        tensors = extents(path)
        parts = [Part(extent, "F16" if _fits_fp16(path, extent) else extent.dtype) for extent in tensors]
        if any(part.dtype != part.extent.dtype for part in parts):
            result[name] = folder / name
            write(result[name], path, parts)
    return result


def _fits_fp16(path: Path, extent: Extent) -> bool:
    if extent.dtype != "F32" or not is_large(extent):
        return False
    with path.open("rb") as file:
        chunks = _chunks(file, extent)
        return all(bool(np.abs(np.frombuffer(chunk, np.float32)).max() <= FP16_MAX) for chunk in chunks)


def lay_beside(model: onnx.ModelProto, files: Mapping[str, Path], folder: Path) -> int:
    """Puts the files that a graph refers to into its folder, cut to what it reads where that saves FP32 numbers.

    Args:
        model: The graph; offsets are changed in place where a file is cut.
        files: Safetensors files by the names that the graph calls them.
        folder: The graph's.

    Returns:
        Their bytes.
    """
    read: dict[str, set[int]] = {}
    for tensor in filter(is_external, model.graph.initializer):
        place = {entry.key: entry.value for entry in tensor.external_data}
        read.setdefault(place["location"], set()).add(int(place["offset"]))
    size = 0
    for name, offsets in read.items():
        source, target = files[name], folder / name
        tensors = extents(source)
        if any(is_large(extent) and extent.offset not in offsets for extent in tensors):
            moved = write(
                target, source, [Part(extent, extent.dtype) for extent in tensors if extent.offset in offsets]
            )
            _move(model, name, moved)
        else:
            shutil.copyfile(source, target)
        size += target.stat().st_size
    return size


def _move(model: onnx.ModelProto, name: str, moved: Mapping[int, int]) -> None:
    """Changes the offsets of a file that was cut."""
    for tensor in filter(is_external, model.graph.initializer):
        entries = {entry.key: entry for entry in tensor.external_data}
        if entries["location"].value == name:
            entries["offset"].value = str(moved[int(entries["offset"].value)])


def write(path: Path, source: Path, parts: Collection[Part]) -> dict[int, int]:
    """Writes some tensors of a safetensors file to another one.

    Returns:
        The new offset of each tensor by its old one.
    """
    # Wide numbers first, as safetensors orders them: every tensor begins at a multiple of its numbers' size.
    ordered = sorted(parts, key=lambda part: (-BITS.get(part.dtype, 8), part.extent.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for part in ordered:
        place = [begin, begin + part.length]
        header[part.extent.name] = {"dtype": part.dtype, "shape": list(part.extent.shape), "data_offsets": place}
        begin = place[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    moved, offset = dict[int, int](), 8 + len(text)
    with source.open("rb") as file, path.open("wb") as target:
        target.write(len(text).to_bytes(8, "little") + text)
        for part in ordered:
            for chunk in _chunks(file, part.extent):
                narrow = part.dtype != part.extent.dtype
                target.write(np.frombuffer(chunk, np.float32).astype(np.float16).tobytes() if narrow else chunk)
            moved[part.extent.offset] = offset
            offset += part.length
    return moved


def _chunks(file: BinaryIO, extent: Extent) -> Iterator[bytes]:
    """A tensor's bytes, some at a time."""
    file.seek(extent.offset)
    for begin in range(0, extent.length, CHUNK):
        yield file.read(min(CHUNK, extent.length - begin))


def holds_same(part: Path, whole: Path) -> bool:
    """Whether every tensor of a file is in another one, with the same numbers."""
    there = {extent.name: extent for extent in extents(whole)}
    with part.open("rb") as ours, whole.open("rb") as theirs:
        for extent in extents(part):
            other = there.get(extent.name)
            if other is None or (other.dtype, other.shape) != (extent.dtype, extent.shape):
                return False
            if any(a != b for a, b in zip(_chunks(ours, extent), _chunks(theirs, other), strict=True)):
                return False
    return True
