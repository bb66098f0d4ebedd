"""Torch against onnxruntime: how far an exported graph is from the module it came from, by output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from export.contract import Size
from export.lowering import UNRUNNABLE
from export.models.component import Inputs, Prepared
from export.precision import Precision
from export.produce import BATCHES
from export.report import TOLERANCE, ComponentReport, Conditioning, Difference
from export.widening import widen

Array = npt.NDArray[Any]
LARGE = 3 * 2**30
"""Bytes of a graph's files from which on its session saves memory."""


@dataclass(frozen=True)
class Case:
    """A batch, and what torch makes of it."""

    size: Size
    rows: int
    inputs: Inputs
    expected: list[Array]
    rounded: list[Array] | None = None
    """What torch makes of it in the graph's precision, where onnxruntime cannot run that precision here."""
    conditioning: Conditioning = "random"

    def lowered(self, prepared: Prepared) -> Case:
        """The same with what the module makes of it now that it is in another precision."""
        return replace(self, rounded=torch_outputs(prepared.module, self.inputs))


def torch_outputs(module: nn.Module, inputs: Inputs) -> list[Array]:
    """Runs a wrapper module and returns its outputs as arrays."""
    with torch.inference_mode():
        found = module(*inputs)
    return [tensor.numpy() for tensor in ((found,) if isinstance(found, torch.Tensor) else found)]


def session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session as the serving backend makes it, so that what is measured is what is served.

    Of a large graph, weights are widened and turned over when they are used, and not all of them beforehand: folded,
    packed and copied on the way, SDXL's UNet would take more than 24 GiB. The arithmetic is the same.
    """
    large = sum(file.stat().st_size for file in path.parent.iterdir()) > LARGE
    return onnxruntime.InferenceSession(
        str(path),
        session_options(threads),
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["ConstantFolding"] if large else None,
    )


def widened_session(path: Path) -> onnxruntime.InferenceSession:
    """A session of a bfloat16 graph with FP32 in bfloat16's place."""
    model = onnx.load(path, load_external_data=False)
    widen(model)
    # Beside the weights that it refers to.
    with NamedTemporaryFile(dir=path.parent, suffix=".onnx") as file:
        file.write(model.SerializeToString())
        file.flush()
        return session(Path(file.name))


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """The serving backend's."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It would make integer products of quantised pairs, and there are none for FP8.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


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


def bits_differing(reference: Array, other: Array) -> float:
    """The share of zeros and ones that differ; infinite for NaN, or for shapes that differ."""
    if reference.shape != other.shape or not np.isfinite(other).all():
        return float("inf")
    return float((reference != other).mean())


def references(prepared: Prepared, sizes: Sequence[Size], batches: Sequence[int] = BATCHES) -> list[Case]:
    """What the module, as it is now, makes of every batch and size."""
    cases = []
    for size in sizes:
        for rows in batches:
            inputs = prepared.sample(rows, size, torch.Generator().manual_seed(rows))
            cases.append(Case(size, rows, inputs, torch_outputs(prepared.module, inputs)))
    return cases


def rehearsed(prepared: Prepared, size: Size, calls: Sequence[Mapping[str, Array]]) -> list[Case]:
    """What the module makes of the inputs that a rehearsal at this size gave it."""
    cases = []
    for call in calls:
        rows = len(next(iter(call.values())))
        inputs = completed(prepared, rows, size, call)
        cases.append(Case(size, rows, inputs, torch_outputs(prepared.module, inputs), conditioning="real"))
    return cases


def completed(prepared: Prepared, rows: int, size: Size, call: Mapping[str, Array]) -> Inputs:
    """A call in the order of the component's inputs; which adapters its rows name, a rehearsal does not know."""
    sample = prepared.sample(rows, size, torch.Generator().manual_seed(rows))
    return tuple(
        torch.from_numpy(call[spec.name]) if spec.name in call else value
        for spec, value in zip(prepared.inputs, sample, strict=True)
    )


def compare(
    prepared: Prepared, path: Path, cases: Sequence[Case], rounding: float, precision: Precision = "fp32"
) -> ComponentReport:
    """Compares a graph with what its module made; of the component only the description is read, not the module.

    bfloat16 is not run here: the graph is, in FP32, and torch in bfloat16; the larger difference counts.
    """
    run = widened_session(path) if precision in UNRUNNABLE else session(path)
    differences = []
    for case in cases:
        found = onnx_outputs(run, prepared, case.inputs)
        alone = onnx_outputs(run, prepared, tuple(tensor[:1].contiguous() for tensor in case.inputs))
        for index, (spec, reference) in enumerate(zip(prepared.outputs, case.expected, strict=True)):
            others = [found[index], *([] if case.rounded is None else [case.rounded[index]])]
            distance = bits_differing if spec.name in prepared.binary else relative
            share, worst = max((distance(reference, other), place) for place, other in enumerate(others))
            absolute = float("inf") if share == float("inf") else float(np.abs(reference - others[worst]).max())
            exact = np.array_equal(alone[index][0], found[index][0])
            at = (spec.name, case.rows, case.size.height, case.size.width)
            differences.append(Difference(*at, absolute, share, exact, case.conditioning))
    return ComponentReport(prepared.name, precision, TOLERANCE[precision], tuple(differences), rounding)


def measure(prepared: Prepared, path: Path, sizes: Sequence[Size], rounding: float) -> ComponentReport:
    """Compares a component's module with its FP32 graph at every batch and size."""
    return compare(prepared, path, references(prepared, sizes), rounding)
