"""Graphs that keep no weights of their own: every initialiser points into the safetensors file it came from.

ONNX's external data names a file beside the graph, an offset and a length; a tensor in a safetensors file is exactly
that. So `model.onnx` stays small and the same from training to training, and the weights beside it are, byte for
byte, a file of the diffusers folder: git stores both as one.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from ml_dtypes import bfloat16
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.tensor_files import Extent, extents

Array = npt.NDArray[Any]
STORED: dict[str, tuple[Any, int]] = {
    "F16": (np.dtype(np.float16), TensorProto.FLOAT16),
    "F32": (np.dtype(np.float32), TensorProto.FLOAT),
    "BF16": (np.dtype(bfloat16), TensorProto.BFLOAT16),
}
"""Stored dtypes that a graph can point at, by safetensors' names."""
COMPUTED: dict[int, Any] = {kind: dtype for dtype, kind in STORED.values()}
"""Types of a graph's initialisers that may be weights."""
FEWEST_UNNAMED = 4
"""Values that an initialiser must have to be identified by its content alone."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a weights file, and whether the graph reads it transposed."""

    file: str
    extent: Extent
    transposed: bool = False

    @property
    def kind(self) -> int:
        """ONNX's name for its dtype."""
        return STORED[self.extent.dtype][1]


def _key(values: Array) -> bytes:
    """The same for the same FP32 values in the same order of bytes, whatever the shape."""
    return hashlib.blake2b(np.ascontiguousarray(values, np.float32).data, digest_size=16).digest()


class Catalogue:
    """Everything in some weights files, to be found by content."""

    def __init__(self, files: Mapping[str, Path], kinds: Iterable[int] = (TensorProto.FLOAT,)) -> None:
        """Reads every tensor once.

        Args:
            files: Paths by the names they will have beside the graph.
            kinds: The types of the graph's initialisers: a tensor is found by what a Cast to one of these makes of it.
        """
        self._kinds = tuple(kinds)
        self._tensors: dict[tuple[int, bytes], list[StoredTensor]] = {}
        for name, path in files.items():
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for extent in extents(path):
                    if extent.dtype in STORED and extent.length:
                        self._add(name, extent, content)

    def _add(self, file: str, extent: Extent, content: mmap.mmap) -> None:
        # A copy: an array over the map itself would keep the file from being closed.
        raw = content[extent.offset : extent.offset + extent.length]
        stored = np.frombuffer(raw, STORED[extent.dtype][0]).reshape(extent.shape)
        for kind in self._kinds:
            with np.errstate(over="ignore"):
                values = stored.astype(COMPUTED[kind])
            self._tensors.setdefault((kind, _key(values)), []).append(StoredTensor(file, extent))
            # torch keeps a Linear's weight as [out, in]; the exporter multiplies by [in, out].
            if values.ndim == 2 and min(values.shape) > 1:
                self._tensors.setdefault((kind, _key(values.T)), []).append(StoredTensor(file, extent, transposed=True))

    def find(self, name: str, values: Array, kind: int = TensorProto.FLOAT) -> StoredTensor | None:
        """The tensor that an initialiser came from, or None.

        Equal content decides; among equals, the name. Without a matching name, content that identifies nothing (a few
        numbers, or all the same: ones, zeros) is not taken for a weight: the next training would change the weight.
        """
        matches = self._tensors.get((kind, _key(values)), [])
        for stored in matches:
            if f".{name}".endswith(f".{stored.extent.name}"):
                return stored
        if values.size < FEWEST_UNNAMED or values.min() == values.max():
            return None
        return matches[0] if matches else None


def _reference(name: str, stored: StoredTensor, dims: Iterator[int]) -> TensorProto:
    tensor = TensorProto(name=name, data_type=stored.kind, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(dims)
    where = {"location": stored.file, "offset": stored.extent.offset, "length": stored.extent.length}
    for key, value in where.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def refer(
    model: onnx.ModelProto, files: Mapping[str, Path], weights: Mapping[str, Array] | None = None
) -> dict[str, int]:
    """Replaces initialisers, in place, by references to where `files` hold the same numbers.

    A Cast to what the graph computes in and, where the exporter had transposed a matrix, a Transpose stand behind the
    reference. Runtimes fold both when they load the graph, so serving costs no more than with weights inside.

    Args:
        model: The graph.
        files: Weights files, by the names they will have beside the graph.
        weights: The numbers of initialisers that hold none themselves; what is not in the files is put into the graph.

    Returns:
        How many bytes of each file the graph refers to; a file that is not in it is not needed.
    """
    used, nodes = dict[str, int](), list[NodeProto]()
    kinds = {tensor.data_type for tensor in model.graph.initializer} & set(COMPUTED)
    catalogue = Catalogue(files, sorted(kinds))
    for tensor in model.graph.initializer:
        if tensor.data_type not in kinds:
            continue
        name, kind = tensor.name, tensor.data_type
        apart = (weights or {}).get(name)
        values = numpy_helper.to_array(tensor) if apart is None else apart
        stored = catalogue.find(name, values, kind)
        if stored is None:
            if apart is not None:
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(apart), name))
            continue
        dims = stored.extent.shape if stored.transposed else values.shape
        steps = ["Cast"] * (stored.kind != kind) + ["Transpose"] * stored.transposed
        used[stored.file] = used.get(stored.file, 0) + stored.extent.length
        last = f"{name}.stored" if steps else name
        tensor.CopyFrom(_reference(last, stored, iter(dims)))
        for step in steps:
            output = name if step is steps[-1] else f"{name}.{step.lower()}"
            options = {"to": kind} if step == "Cast" else {"perm": [1, 0]}
            nodes.append(helper.make_node(step, [last], [output], name=f"{output}.{step.lower()}", **options))
            last = output
    nodes.extend(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return used


def is_external(tensor: TensorProto) -> bool:
    """Whether an initialiser's numbers lie in another file."""
    return bool(tensor.data_location == TensorProto.EXTERNAL)
