"""Weights beside a graph: FP32 stays FP32 and lies there once; fp16 storage rounds, and the report says by how much."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from export import stored_files
from export.errors import ParityError
from export.options import ExportOptions
from export.precision import Storage
from export.report import TOLERANCE, ComponentReport, Difference, check
from export.run import export_graphs
from export.stored_files import Part, holds_same, rounded, write
from export.tensor_files import extents
from tests.export import tiny
from tests.export.test_source import WEIGHTS

QUICK = "image_encoder_uve"
"""Traced in a second or two, and it has large and small tensors."""


@pytest.fixture
def folder(tiny_pipelines: Path, tmp_path: Path) -> Path:
    """The first tiny folder with the weights of one component in FP32, one tensor more than its network reads."""
    copy = Path(shutil.copytree(tiny_pipelines / "tiny", tmp_path / "tiny"))
    path = copy / QUICK / WEIGHTS
    generator = torch.Generator().manual_seed(0)
    tensors = {
        name: value.float() * (1 + 1e-4 * torch.rand(value.shape, generator=generator))
        for name, value in load_file(path).items()
    }
    save_file(tensors, path, metadata={"format": "pt"})
    return copy


def stored(folder: Path, work: Path, storage: Storage) -> tuple[ComponentReport, Path]:
    """Exports the component; returns its report and the folder of its graph."""
    options = ExportOptions(work=work, storage=storage)
    (report,) = export_graphs([folder], tiny.silent, options, names=[QUICK]).models
    (entry,) = (work / "graphs").iterdir()
    return report.parity, entry / "graph"


def test_fp32_weights_stay_and_lie_there_once(folder: Path, tmp_path: Path) -> None:
    report, graph = stored(folder, tmp_path / "work", "source")
    assert (graph / "weights.safetensors").read_bytes() == (folder / QUICK / WEIGHTS).read_bytes()
    largest = max(extent.length for extent in extents(graph / "weights.safetensors"))
    assert (graph / "model.onnx").stat().st_size < largest + 60_000, "no weights are in the graph"
    assert report.rounding == 0
    assert report.tolerance == TOLERANCE["fp32"]
    assert report.worst.relative <= 1e-5, "the reference has the folder's own numbers"


def test_fp16_storage_rounds_and_is_measured_against_the_folders_weights(folder: Path, tmp_path: Path) -> None:
    report, graph = stored(folder, tmp_path / "work", "fp16")
    whole = {extent.name: extent for extent in extents(folder / QUICK / WEIGHTS)}
    beside = {extent.name: extent for extent in extents(graph / "weights.safetensors")}
    assert beside.keys() == whole.keys()
    for name, extent in beside.items():
        assert extent.dtype == ("F16" if np.prod(extent.shape) >= stored_files.ROUND_FROM else "F32"), name
    assert 1e-6 < report.rounding < 1e-2
    assert report.tolerance == TOLERANCE["fp32"] + report.rounding
    assert abs(report.worst.relative - report.rounding) <= TOLERANCE["fp32"], "all of the difference is the rounding"


def test_a_file_that_is_read_in_part_is_cut(tiny_pipelines: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_pipelines / "tiny", tmp_path / "tiny"))
    path = folder / QUICK / WEIGHTS
    tensors = {name: value.float() * 1.0001 for name, value in load_file(path).items()}
    save_file(tensors | {"unread": torch.rand(64, 64)}, path, metadata={"format": "pt"})
    report, graph = stored(folder, tmp_path / "work", "source")
    beside = graph / "weights.safetensors"
    assert {extent.name for extent in extents(beside)} == tensors.keys()
    assert holds_same(beside, path)
    assert not holds_same(path, beside)
    assert report.worst.relative <= 1e-5, "the graph finds its numbers in the shorter file"


def test_written_tensors_are_what_torch_reads(tmp_path: Path) -> None:
    tensors = {
        "half": torch.rand(3, 5).half(),
        "large": torch.randn(64, 64),
        "small": torch.rand(7),
        "brain": torch.rand(9).bfloat16(),
        "huge": torch.full((2048,), 1e6),
        "numbers": torch.arange(4),
    }
    save_file(tensors, tmp_path / "a.safetensors")
    (tmp_path / "new").mkdir()
    files = rounded({"a.safetensors": tmp_path / "a.safetensors"}, tmp_path / "new")
    result = load_file(files["a.safetensors"])
    assert {name: value.dtype for name, value in result.items()} == {
        name: torch.float16 if name == "large" else value.dtype for name, value in tensors.items()
    }
    assert all(torch.equal(result[name], tensors[name].to(result[name].dtype)) for name in tensors)
    parts = [Part(extent, extent.dtype) for extent in extents(tmp_path / "a.safetensors") if extent.name != "huge"]
    write(tmp_path / "b.safetensors", tmp_path / "a.safetensors", parts)
    assert load_file(tmp_path / "b.safetensors").keys() == tensors.keys() - {"huge"}
    # What is rounded already is the same file.
    assert rounded(files, tmp_path / "new") == files


def test_rounding_that_changes_too_much_is_refused() -> None:
    difference = Difference("y", 1, 64, 96, 0.1, 0.05, True)
    report = ComponentReport.judged("x", "fp32", (difference,), 0.05)
    with pytest.raises(ParityError, match=r"x: rounding its weights to fp16 changes the outputs by 5.00e-02"):
        check(report)
    assert ComponentReport.judged("x", "fp16", (difference,), 0.001).tolerance == TOLERANCE["fp16"]
