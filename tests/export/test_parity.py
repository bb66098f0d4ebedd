"""The parity check: what it measures on good graphs, and that it catches bad ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export import graph, parity
from export.__main__ import table, write_report
from export.errors import ParityError
from export.models import COMPONENTS
from export.models.component import Prepared, Size
from export.run import Exported

BUCKET = Size(64, 64, 16)


def prepared(role: str, folder: Path) -> Prepared:
    """A component as the export rounds it."""
    component = COMPONENTS[role]
    found = component.prepare(component.load(folder / component.folder))
    graph.round_weights(found.module)
    return found


@pytest.mark.parametrize("role", list(COMPONENTS))
def test_every_graph_is_its_module(role: str, tiny_pipeline: Path, tiny_repository: Path) -> None:
    component = prepared(role, tiny_pipeline)
    path = tiny_repository / role / "1" / "model.onnx"
    report = parity.measure(component, path, (parity.SMALL, BUCKET), rounding=0.0)
    assert len(report.differences) == len(component.outputs) * 2 * len(parity.BATCHES)
    assert report.worst.relative <= parity.TOLERANCE["fp32"]
    assert report.exact
    parity.check(report)


def test_a_graph_with_one_wrong_weight_is_caught(tiny_pipeline: Path, tiny_repository: Path, tmp_path: Path) -> None:
    model = onnx.load(tiny_repository / "denoiser" / "1" / "model.onnx")
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "unet.conv_out.bias")
    values = numpy_helper.to_array(tensor).copy()
    values[0] += 0.01
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "model.onnx")
    report = parity.measure(prepared("denoiser", tiny_pipeline), tmp_path / "model.onnx", (BUCKET,), rounding=0.0)
    with pytest.raises(ParityError, match=r"denoiser: noise_pred differs from torch by .* 3 rows of 64×64|1 rows"):
        parity.check(report)


def test_nan_and_other_shapes_are_infinitely_far() -> None:
    ones = np.ones((2, 3), np.float32)
    assert parity.relative(ones, ones) == 0
    assert parity.relative(ones, np.full_like(ones, np.nan)) == float("inf")
    assert parity.relative(ones, ones[:1]) == float("inf")


def test_nan_is_never_within_tolerance() -> None:
    difference = parity.Difference("y", 1, 64, 64, float("nan"), float("nan"), exact=True)
    report = parity.ComponentReport("denoiser", "fp32", 1e-4, (difference,), 0.0)
    with pytest.raises(ParityError):
        parity.check(report)
    parity.check(replace(report, differences=(replace(difference, absolute=0.0, relative=0.0),)))


def test_the_report_is_json_and_a_table(tmp_path: Path) -> None:
    difference = parity.Difference("y", 1, 64, 64, 1e-6, 1e-6, exact=False)
    report = parity.ComponentReport("denoiser", "fp32", 1e-4, (difference,), 1e-3)
    exported = [Exported("denoiser", 10, 20, 1.0, 100.0, report)]
    write_report(tmp_path / "deep" / "report.json", exported, 1.0)
    (component,) = json.loads((tmp_path / "deep" / "report.json").read_text())["components"]
    assert component["parity"]["worst"]["relative"] == 1e-6
    assert component["parity"]["exact"] is False
    assert table(exported).row_count == 1
