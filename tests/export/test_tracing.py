"""Tracing: operators without a translation to ONNX are decomposed one by one, and graphs compute what modules do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch.export import Dim, ExportedProgram

from export import tracing

Function = Callable[[torch.Tensor], Any]


class Module(torch.nn.Module):
    """A function as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def composites(x: torch.Tensor) -> torch.Tensor:
    """Composite operators that return views or copies, with and without a translation of their own."""
    first, second = x.flatten(1).chunk(2, dim=1)
    swapped = first.to(torch.float64).to(torch.float32).T.contiguous().reshape(-1, x.shape[0]).T
    return torch.square(swapped) + first.mean(1, keepdim=True).expand_as(second) * (1 - second)


def nothing_at_all(x: torch.Tensor) -> torch.Tensor:
    """An operator that returns its input, and one that then has the same input twice."""
    return (x.to(torch.float32).view_as(x) + x).expand_as(x)


def changes_in_place(x: torch.Tensor) -> torch.Tensor:
    """An operator that changes a tensor in place."""
    return (2 * x).add_(1)


def trace(function: Function, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, list[str]]:
    """The graph of a function of [rows, 4, 6], and the whole decompositions by torch that it took."""
    whole: list[str] = []
    decompose_all: Any = ExportedProgram.run_decompositions

    def counted(program: ExportedProgram, table: Any) -> Any:
        whole.append("by torch")
        return decompose_all(program, table)

    monkeypatch.setattr(ExportedProgram, "run_decompositions", counted)
    with torch.no_grad(), tracing.quickened(tracing.untold):
        program = torch.onnx.export(
            Module(function).eval(),
            (torch.randn(2, 4, 6),),
            dynamo=True,
            dynamic_shapes=({0: Dim("rows", min=1, max=8)},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto.SerializeToString(), whole


@pytest.mark.parametrize(
    ("function", "by_torch"),
    [(composites, []), (nothing_at_all, []), (lambda x: x.chunk(3, dim=2), []), (changes_in_place, ["by torch"])],
)
def test_graphs_compute_what_functions_do(
    function: Function, by_torch: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, whole = trace(function, monkeypatch)
    assert whole == by_torch
    run = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for rows in (1, 5):
        x = torch.randn(rows, 4, 6, generator=torch.Generator().manual_seed(rows))
        outputs = function(x.clone())
        expected = [outputs] if isinstance(outputs, torch.Tensor) else outputs
        for result, value in zip(run.run(None, {run.get_inputs()[0].name: x.numpy()}), expected, strict=True):
            np.testing.assert_allclose(result, value.numpy(), rtol=1e-5, atol=1e-6)
