"""A graph that was written before, taken again for another bank of adapters: whether it fits, and its sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from export.contract import Contract
from export.errors import BadFolderError
from export.report import DiskSizes
from export.stored_files import holds_same
from export.tensor_files import extents

FILE = "adapters.safetensors"
"""The bank beside its graph."""


def fits(served: Path, files: Mapping[str, Path], contract: Contract) -> bool:
    """Whether a version folder has a graph of the same tensors and weights, with a bank of the same layout.

    The tensors say how many adapters a row may name, and whether the graph reads style pictures.
    """
    beside = {entry.name: entry for entry in served.iterdir()} if served.is_dir() else {}
    if not {"model.onnx", FILE} <= set(beside) <= {"model.onnx", *files}:
        return False
    try:
        same_bank = extents(beside[FILE]) == extents(files[FILE])
    except BadFolderError:
        return False
    if not same_bank or not has_tensors(beside["model.onnx"], contract):
        return False
    try:
        # What the graph does not read of a file may be left out of the served one.
        return all(holds_same(entry, files[name]) for name, entry in beside.items() if name not in ("model.onnx", FILE))
    except BadFolderError:
        return False


def has_tensors(path: Path, contract: Contract) -> bool:
    """Whether a graph has exactly a contract's inputs and outputs; False for a damaged one."""
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except DecodeError:
        return False
    return all(
        [(each.name, dims(each)) for each in written] == [(spec.name, spec.dims) for spec in specs]
        for written, specs in ((graph.input, contract.inputs), (graph.output, contract.outputs))
    )


def dims(tensor: onnx.ValueInfoProto) -> tuple[int, ...]:
    """A tensor's shape without the batch dimension, -1 for what varies."""
    return tuple(-1 if size.dim_param else size.dim_value for size in tensor.type.tensor_type.shape.dim[1:])


def disk_sizes(path: Path) -> DiskSizes:
    """The sizes of a graph that was written before, and of the files beside it."""
    model = onnx.load(path, load_external_data=False)
    places = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    referred = sum(int(entry.value) for entry in places if entry.key == "length")
    files = sum(entry.stat().st_size for entry in path.parent.iterdir() if entry != path)
    return DiskSizes(path.stat().st_size, files, referred)
