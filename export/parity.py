"""Torch compared with onnxruntime: how far an exported graph is from its module, by output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from export.contract import BATCHES, Size
from export.lowering import UNRUNNABLE
from export.models.component import ComponentModule, Inputs
from export.precision import Precision
from export.report import ComponentReport, Conditioning, Difference
from export.running import Array, bits_differing, onnx_outputs, relative, session, torch_outputs, widened_session


@dataclass(frozen=True)
class Case:
    """A batch, and the module's outputs for it."""

    size: Size
    rows: int
    inputs: Inputs
    expected: list[Array]
    rounded: list[Array] | None = None
    """The module's outputs in the graph's precision, where onnxruntime cannot run that precision here."""
    conditioning: Conditioning = "random"

    def lowered(self, prepared: ComponentModule) -> Case:
        """The same case with the outputs of a module in another precision."""
        return replace(self, rounded=torch_outputs(prepared.module, self.inputs))

    def change(self, prepared: ComponentModule) -> float:
        """How far a module with other weights is from the outputs, relative to the largest value."""
        outputs = torch_outputs(prepared.module, self.inputs)
        return max(
            distance(prepared, spec.name)(reference, other)
            for spec, reference, other in zip(prepared.outputs, self.expected, outputs, strict=True)
        )


def references(prepared: ComponentModule, sizes: Sequence[Size], batches: Sequence[int] = BATCHES) -> list[Case]:
    """The module's outputs for every batch and size."""
    cases = []
    for size in sizes:
        for rows in batches:
            inputs = prepared.sample(rows, size, torch.Generator().manual_seed(rows))
            cases.append(Case(size, rows, inputs, torch_outputs(prepared.module, inputs)))
    return cases


def rehearsed(prepared: ComponentModule, size: Size, calls: Sequence[Mapping[str, Array]]) -> list[Case]:
    """The module's outputs for the inputs that a rehearsal at this size gave it."""
    cases = []
    for call in calls:
        rows = len(next(iter(call.values())))
        inputs = completed(prepared, rows, size, call)
        cases.append(Case(size, rows, inputs, torch_outputs(prepared.module, inputs), conditioning="real"))
    return cases


def completed(prepared: ComponentModule, rows: int, size: Size, call: Mapping[str, Array]) -> Inputs:
    """A call in the order of the component's inputs. Adapters are not in a rehearsal: sample values stand for them."""
    sample = prepared.sample(rows, size, torch.Generator().manual_seed(rows))
    return tuple(
        torch.from_numpy(call[spec.name]) if spec.name in call else value
        for spec, value in zip(prepared.inputs, sample, strict=True)
    )


def distance(prepared: ComponentModule, output: str) -> Callable[[Array, Array], float]:
    """What says how far an output is from its reference."""
    return bits_differing if output in prepared.binary else relative


def compare(
    prepared: ComponentModule, path: Path, cases: Sequence[Case], rounding: float, precision: Precision = "fp32"
) -> ComponentReport:
    """Compares a graph with its module's outputs; reads the component's description, not its module.

    bfloat16 is not run here: the graph is, in FP32, and torch in bfloat16; the larger difference counts.
    """
    run = widened_session(path) if precision in UNRUNNABLE else session(path)
    differences = []
    for case in cases:
        batch = onnx_outputs(run, prepared, case.inputs)
        first = tuple(tensor[:1].contiguous() for tensor in case.inputs)
        alone = batch if case.rows == 1 else onnx_outputs(run, prepared, first)
        for index, (spec, reference) in enumerate(zip(prepared.outputs, case.expected, strict=True)):
            others = [batch[index], *([] if case.rounded is None else [case.rounded[index]])]
            measure = distance(prepared, spec.name)
            share, worst = max((measure(reference, other), place) for place, other in enumerate(others))
            absolute = float("inf") if share == float("inf") else float(np.abs(reference - others[worst]).max())
            exact = np.array_equal(alone[index][0], batch[index][0])
            differences.append(
                Difference(
                    output=spec.name,
                    rows=case.rows,
                    height=case.size.height,
                    width=case.size.width,
                    absolute=absolute,
                    relative=share,
                    exact=exact,
                    conditioning=case.conditioning,
                )
            )
    return ComponentReport.judged(prepared.name, precision, tuple(differences), rounding)
