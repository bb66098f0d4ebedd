"""The parity check: what it measures on good graphs, and that it catches bad ones."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export import graph, parity
from export.contract import BATCHES, SMALL, Size
from export.errors import ParityError
from export.models import COMPONENTS
from export.models.component import ComponentModule
from export.report import (
    TOLERANCE,
    ComponentReport,
    Difference,
    DiskSizes,
    ExportReport,
    ModelReport,
    PictureReport,
    check,
    check_picture,
)
from export.running import relative
from export.summary import pictures_table, table, write_report
from tests.export import tiny

BUCKET = Size(64, 64, 16)


def prepared(role: str, folder: Path) -> ComponentModule:
    """A component as the export rounds it."""
    component = COMPONENTS[role]
    module = component.prepare(component.load(tiny.source(folder, role)))
    graph.round_weights(module.module)
    return module


@pytest.mark.parametrize("role", list(COMPONENTS))
def test_every_graph_is_its_module(role: str, tiny_pipelines: Path, tiny_repository: Path) -> None:
    component = prepared(role, tiny_pipelines)
    path = tiny_repository / role / "1" / "model.onnx"
    report = parity.compare(component, path, parity.references(component, (SMALL, BUCKET)), rounding=0.0)
    assert len(report.differences) == len(component.outputs) * 2 * len(BATCHES)
    assert report.worst.relative <= TOLERANCE["fp32"]
    assert report.exact
    check(report)


def test_a_graph_with_one_wrong_weight_is_caught(tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_repository / "denoiser" / "1", tmp_path / "1")
    path = tmp_path / "1" / "weights.safetensors"
    tensors = load_file(path)
    tensors["conv_out.bias"][0] += 0.01
    # The same layout: the graph goes on pointing at the same places.
    save_file(tensors, path, metadata={"format": "pt"})
    component = prepared("denoiser", tiny_pipelines)
    cases = parity.references(component, (BUCKET,))
    report = parity.compare(component, tmp_path / "1" / "model.onnx", cases, rounding=0.0)
    with pytest.raises(ParityError, match=r"denoiser: noise_pred differs from torch by .* 3 rows of 64×64|1 rows"):
        check(report)


def test_nan_and_other_shapes_are_infinitely_far() -> None:
    ones = np.ones((2, 3), np.float32)
    assert relative(ones, ones) == 0
    assert relative(ones, np.full_like(ones, np.nan)) == float("inf")
    assert relative(ones, ones[:1]) == float("inf")


def test_nan_is_never_within_tolerance() -> None:
    difference = Difference("y", 1, 64, 64, float("nan"), float("nan"), exact=True)
    report = ComponentReport("denoiser", "fp32", 1e-4, (difference,), 0.0)
    with pytest.raises(ParityError):
        check(report)
    check(replace(report, differences=(replace(difference, absolute=0.0, relative=0.0),)))


def test_the_report_is_json_and_a_table(tmp_path: Path) -> None:
    difference = Difference("y", 1, 64, 64, 1e-6, 1e-6, exact=False)
    report = ComponentReport("denoiser", "fp32", 1e-4, (difference,), 1e-3)
    exported = (ModelReport("denoiser", 10, DiskSizes(20, 30, 25), 1.0, 100.0, report),)
    picture = PictureReport("tiny", "fp32", steps=8, pictures=2, largest=1, psnr=70.0)
    write_report(tmp_path / "deep" / "report.json", ExportReport(exported, (picture,), 1), 1.0)
    content = json.loads((tmp_path / "deep" / "report.json").read_text())
    (component,) = content["components"]
    assert PictureReport.from_json(content["pictures"][0], "tiny") == picture
    assert component["parity"]["worst"]["relative"] == 1e-6
    assert component["parity"]["exact"] is False
    assert (component["graph_bytes"], component["weights_bytes"], component["referred_bytes"]) == (20, 30, 25)
    assert table(exported).row_count == 1
    assert pictures_table([picture]).row_count == 1


def test_a_tolerance_of_fp8_is_for_real_inputs() -> None:
    random = Difference("y", 1, 64, 64, 9.0, 0.9, exact=True)
    real = replace(random, relative=0.1, conditioning="real")
    report = ComponentReport("denoiser", "fp8", 0.2, (random, real), 0.0)
    assert report.worst is real
    check(report)
    assert replace(report, precision="fp16").worst is random
    with pytest.raises(ParityError, match="real inputs; the tolerance for fp8"):
        check(replace(report, differences=(random, replace(real, relative=0.3))))
    assert ComponentReport.from_json(json.loads(json.dumps(report.to_json())), "denoiser").worst_of("real") == real


def test_a_picture_too_far_from_torchs_fails() -> None:
    near = PictureReport("tiny", "fp16", steps=8, pictures=1, largest=9, psnr=40.5)
    check_picture(near)
    with pytest.raises(ParityError, match="tiny: after 8 steps its picture is 39 dB from torch's; fp16 must reach 40"):
        check_picture(replace(near, psnr=39.4))
    with pytest.raises(ParityError):
        check_picture(replace(near, psnr=float("nan")))
