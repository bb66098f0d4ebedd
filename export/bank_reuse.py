"""A graph that was written before, taken again for another bank of adapters: whether it fits, and its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from export.errors import BadFolderError
from export.report import DiskSizes
from export.stored_files import holds_same
from export.tensor_files import extents

FILE = "adapters.safetensors"
"""The bank beside its graph."""


def fits(served: Path, files: Mapping[str, Path], slots: int) -> bool:
    """Whether a version folder has a graph of the same weights and slots, with a bank of the same layout."""
    beside = {entry.name: entry for entry in served.iterdir()} if served.is_dir() else {}
    if not {"model.onnx", FILE} <= set(beside) <= {"model.onnx", *files}:
        return False
    try:
        same_bank = extents(beside[FILE]) == extents(files[FILE])
    except BadFolderError:
        return False
    if not same_bank or slots_of(beside["model.onnx"]) != slots:
        return False
    try:
        # What the graph does not read of a file may be left out of the served one.
        return all(holds_same(entry, files[name]) for name, entry in beside.items() if name not in ("model.onnx", FILE))
    except BadFolderError:
        return False


def slots_of(graph: Path) -> int | None:
    """How many adapters a row of a graph may name; None for a graph without a bank, or a damaged one."""
    try:
        inputs = onnx.load(graph, load_external_data=False).graph.input
    except DecodeError:
        return None
    shapes = {each.name: each.type.tensor_type.shape.dim for each in inputs}
    return shapes["adapter"][1].dim_value if "adapter" in shapes else None


def disk_sizes(path: Path) -> DiskSizes:
    """The sizes of a graph that was written before, and of the files beside it."""
    model = onnx.load(path, load_external_data=False)
    places = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    referred = sum(int(entry.value) for entry in places if entry.key == "length")
    files = sum(entry.stat().st_size for entry in path.parent.iterdir() if entry != path)
    return DiskSizes(path.stat().st_size, files, referred)
