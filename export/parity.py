"""Torch against onnxruntime: how far an exported graph is from the module it came from, by output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from export.errors import ParityError
from export.models.component import Inputs, Prepared, Size

TOLERANCE = {"fp32": 1e-4}
"""Largest |torch − onnx| over largest |torch| of an output, by the precision of the arithmetic.

Weights do not enter: both sides hold the same numbers, rounded to fp16 where the graph stores them so.
"""
BATCHES = (1, 3)
SMALL = Size(height=64, width=96, tokens=16)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """One output in one case."""

    output: str
    rows: int
    height: int
    width: int
    absolute: float
    relative: float
    exact: bool
    """Whether the first row alone gives, to the bit, what it gives in this batch."""


@dataclass(frozen=True)
class ComponentReport:
    """All that was measured of one component."""

    model: str
    precision: str
    tolerance: float
    differences: tuple[Difference, ...]
    rounding: float
    """Relative change of the outputs by rounding the weights to fp16: the price of halving the file."""

    @property
    def worst(self) -> Difference:
        """The case with the largest relative difference."""
        return max(self.differences, key=lambda difference: difference.relative)

    @property
    def exact(self) -> bool:
        """Whether rows were bit-identical alone and in company, in every case."""
        return all(difference.exact for difference in self.differences)

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self) | {"worst": asdict(self.worst), "exact": self.exact}


def torch_outputs(module: nn.Module, inputs: Inputs) -> list[Array]:
    """Runs a wrapper module and returns its outputs as arrays."""
    with torch.inference_mode():
        found = module(*inputs)
    return [tensor.numpy() for tensor in ((found,) if isinstance(found, torch.Tensor) else found)]


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session as the serving backend makes it, so that what is measured is what is served."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def onnx_outputs(run: onnxruntime.InferenceSession, prepared: Prepared, inputs: Inputs) -> list[Array]:
    """Runs a graph on torch inputs and returns its outputs in the contract's order."""
    feed = {spec.name: tensor.numpy() for spec, tensor in zip(prepared.inputs, inputs, strict=True)}
    found: list[Array] = run.run([spec.name for spec in prepared.outputs], feed)
    return found


def relative(reference: Array, other: Array) -> float:
    """Largest difference over largest magnitude; infinite for NaN, or for shapes that differ."""
    if reference.shape != other.shape or not np.isfinite(other).all():
        return float("inf")
    scale = float(np.abs(reference).max()) or 1.0
    return float(np.abs(reference - other).max()) / scale


def measure(
    prepared: Prepared, path: Path, sizes: Sequence[Size], rounding: float, precision: str = "fp32"
) -> ComponentReport:
    """Compares a component's module with its graph at every batch and size."""
    run = session(path)
    differences = []
    for size in sizes:
        for rows in BATCHES:
            inputs = prepared.sample(rows, size, torch.Generator().manual_seed(rows))
            expected, found = torch_outputs(prepared.module, inputs), onnx_outputs(run, prepared, inputs)
            alone = onnx_outputs(run, prepared, tuple(tensor[:1].contiguous() for tensor in inputs))
            for spec, reference, other, first in zip(prepared.outputs, expected, found, alone, strict=True):
                share = relative(reference, other)
                absolute = float("inf") if share == float("inf") else float(np.abs(reference - other).max())
                exact = np.array_equal(first[0], other[0])
                differences.append(Difference(spec.name, rows, size.height, size.width, absolute, share, exact))
    return ComponentReport(prepared.name, precision, TOLERANCE[precision], tuple(differences), rounding)


def check(report: ComponentReport) -> None:
    """Refuses a graph that is outside its tolerance.

    Raises:
        ParityError: naming the output, the case and the difference.
    """
    worst = report.worst
    # Written so that a NaN, which compares false with everything, is refused too.
    if not worst.relative <= report.tolerance:
        raise ParityError(
            f"{report.model}: {worst.output} differs from torch by {worst.relative:.2e} (relative) "
            f"for {worst.rows} rows of {worst.height}×{worst.width}; "
            f"the tolerance for {report.precision} is {report.tolerance:.0e}."
        )
