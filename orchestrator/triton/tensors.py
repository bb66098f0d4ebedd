"""numpy arrays to Triton's tensors and back, and a model's metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput, InferResult

from orchestrator.triton.causes import CallFailed, Cause

Arrays = Mapping[str, npt.NDArray[Any]]

_DTYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Name, Triton dtype ("FP32") and shape without the batch dimension (−1 = any)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class ModelMetadata:
    """A model as a replica serves it; `fingerprint` is "" where its config has none."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    fingerprint: str


def read_config(config: Any) -> ModelMetadata:
    """Returns the metadata in a `ModelConfig` message."""

    def specs(tensors: Iterable[Any]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(tensor.name, _type_name(tensor), tuple(tensor.dims)) for tensor in tensors)

    return ModelMetadata(
        name=config.name,
        inputs=specs(config.input),
        outputs=specs(config.output),
        max_batch_size=config.max_batch_size,
        fingerprint=config.parameters["fingerprint"].string_value if "fingerprint" in config.parameters else "",
    )


def _type_name(tensor: Any) -> str:
    field = tensor.DESCRIPTOR.fields_by_name["data_type"]
    name: str = field.enum_type.values_by_number[tensor.data_type].name
    return name.removeprefix("TYPE_")


def batch_rows(inputs: Arrays) -> int:
    """Returns the number of rows of a batch.

    Raises:
        ValueError: there is no input, one has another dtype than float32 or int64, or their rows differ.
    """
    counts = {array.shape[0] if array.ndim else 0 for array in inputs.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"the inputs must have the same number of rows, and at least one; got {sorted(counts)}")
    for name, array in inputs.items():
        if array.dtype not in _DTYPES:
            raise ValueError(f"input {name} must be float32 or int64, got {array.dtype}")
    return counts.pop()


def in_full(name: str, array: npt.NDArray[Any]) -> InferInput:
    """Returns a tensor that carries its bytes; `batch_rows` accepts the array."""
    tensor = InferInput(name, list(array.shape), _DTYPES[array.dtype])
    tensor.set_data_from_numpy(array)
    return tensor


def in_region(name: str, array: npt.NDArray[Any], region: str, offset: int) -> InferInput:
    """Returns a tensor that refers to its bytes in a region of shared memory, in C order."""
    tensor = InferInput(name, list(array.shape), _DTYPES[array.dtype])
    tensor.set_shared_memory(region, array.nbytes, offset)
    return tensor


def from_wire(result: InferResult, rows: int, expected: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Returns the outputs, read-only views of the answer, whole and finite.

    Args:
        result: what the client returned.
        rows: how many rows were sent.
        expected: names that must be among the outputs.

    Raises:
        CallFailed: BAD_OUTPUT; an output is missing, has no or too little data, other rows, or a NaN or infinity.
    """
    outputs = {}
    for output in result.get_response().outputs:
        try:
            array = result.as_numpy(output.name)
        except ValueError:
            # A stub with numpy 2 says that it is ready, and sends empty outputs.
            raise CallFailed(Cause.BAD_OUTPUT, f"{output.name} does not hold what its shape says") from None
        if array is None or array.shape[:1] != (rows,):
            raise CallFailed(Cause.BAD_OUTPUT, f"{output.name} does not have {rows} rows")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise CallFailed(Cause.BAD_OUTPUT, f"{output.name} has values that are not finite")
        outputs[output.name] = array
    missing = sorted(set(expected) - outputs.keys())
    if missing or not outputs:
        raise CallFailed(Cause.BAD_OUTPUT, f"outputs are missing: {', '.join(missing) or 'all'}")
    return outputs
