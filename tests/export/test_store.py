"""The work folder: what is found again, what is not, and that nothing is made twice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from export import build, parity, store
from export.contract import SMALL, Contract, Size, TensorSpec
from export.errors import ParityError
from export.layout import Source
from export.models import COMPONENTS
from export.options import ExportOptions
from export.precision import Precisions
from export.report import TOLERANCE, ComponentReport, Difference, DiskSizes, ModelReport, TraceCost
from export.run import export_graphs
from export.running import relative
from export.source import open_folder
from export.store import Store, key
from tests.export import tiny

CONTRACT = Contract((TensorSpec("x", "FP32", (4,)),), (TensorSpec("y", "FP32", (4,)),))
DISK = DiskSizes(3, 5, 4)
COST = TraceCost(seconds=3.5, peak_mib=700.0)
QUICK = "image_projector"
"""Traced in a moment."""


@pytest.fixture
def source(tiny_pipelines: Path, tmp_path: Path) -> Source:
    """A copy of one component."""
    folder = Path(shutil.copytree(tiny_pipelines / "tiny", tmp_path / "tiny"))
    return open_folder(folder).sources[QUICK]


def test_a_key_follows_everything_that_decides_a_graph(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key(source, "fp32"), key(source, "fp16"), key(source, "fp32", {"rows": 4})]
    keys.append(key(replace(source, config={**source.config, "tokens": 3}), "fp32"))
    keys.append(key(replace(source, last_states=True), "fp32"))
    monkeypatch.setattr(store, "code", lambda names: "another version")
    keys.append(key(source, "fp32"))
    monkeypatch.undo()
    (path,) = source.weights
    tensors = load_file(path)
    tensors["norm.bias"] += 1
    save_file(tensors, path)
    keys.append(key(source, "fp32"))
    assert len(set(keys)) == len(keys)


def test_a_key_does_not_follow_the_place(source: Source, tmp_path: Path) -> None:
    before = key(source, "fp32")
    moved = Path(shutil.move(source.folder.parent, tmp_path / "moved")) / source.folder.name
    there = replace(source, folder=moved, weights=(moved / source.weights[0].name,))
    assert key(replace(there, config={**source.config, "_name_or_path": str(moved)}), "fp32") == before


def version(folder: Path) -> Path:
    """A version folder."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"abc")
    (folder / "weights.safetensors").write_bytes(b"abcde")
    return folder


def test_what_was_kept_is_found(tmp_path: Path) -> None:
    kept = Store(tmp_path / "work").keep("name", version(tmp_path / "1"), CONTRACT, 7, DISK, COST)
    stored = Store(tmp_path / "work").find("name")
    assert stored == kept
    assert (stored.contract, stored.parameters, stored.disk, stored.cost) == (CONTRACT, 7, DISK, COST)
    assert (stored.version / "weights.safetensors").read_bytes() == b"abcde"
    assert Store(tmp_path / "work").find("other") is None


@pytest.mark.parametrize("file", ["graph/model.onnx", "graph/weights.safetensors", "facts.json"])
def test_a_damaged_entry_is_as_good_as_none(file: str, tmp_path: Path) -> None:
    work = Store(tmp_path / "work")
    entry = work.keep("name", version(tmp_path / "1"), CONTRACT, 7, DISK, COST)
    (entry.folder / file).write_bytes(b"ab")
    assert work.find("name") is None
    assert work.keep("name", tmp_path / "1", CONTRACT, 7, DISK, COST) == work.find("name")


def test_a_comparison_is_found_at_its_sizes_with_todays_tolerance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Store(tmp_path / "work").keep("name", version(tmp_path / "1"), CONTRACT, 7, DISK, COST)
    sizes = (Size(64, 96, 16),)
    report = ComponentReport("x", "fp16", TOLERANCE["fp16"], (Difference("y", 1, 64, 96, 0.1, 0.01, True),), 1e-4)
    entry.keep_report(report, sizes, (1, 3))
    assert entry.report("denoiser_fast", sizes, (1, 3)) == replace(report, model="denoiser_fast")
    assert entry.report("x", (*sizes, Size(64, 64, 16)), (1, 3)) is None
    monkeypatch.setitem(TOLERANCE, "fp16", 1e-3)
    assert entry.report("x", sizes, (1,)) is None
    stored = entry.report("x", sizes, (1, 3))
    assert stored is not None
    assert stored.tolerance == 1e-3


def graphs(folder: Path, work: Path, precision: Any = "fp32", **options: Any) -> list[ModelReport]:
    """Makes the graph of the quick component; returns its report where it was compared."""
    settings = ExportOptions(Precisions(precision), work)
    return list(export_graphs([folder], lambda name, what: None, settings, names=[QUICK], **options).models)


def test_nothing_is_made_twice(tiny_pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, work = tiny_pipelines / "tiny", tmp_path / "work"
    assert graphs(folder, work, compare=False) == []
    monkeypatch.setattr(build, "build_graph", None)
    (first,) = graphs(folder, work)
    assert not first.kept, "it was not compared before"
    monkeypatch.setattr(build, "open_model", None)
    (second,) = graphs(folder, work)
    assert second.kept
    assert second.parity == first.parity
    assert [path.name for path in work.iterdir()] == ["graphs"], "nothing is left lying about"
    with pytest.raises(TypeError):
        graphs(folder, work, "fp16")


def test_a_kept_comparison_outside_its_tolerance_fails(
    tiny_pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, work = tiny_pipelines / "tiny", tmp_path / "work"
    (report,) = graphs(folder, work, "bf16")
    assert 1e-5 < report.parity.worst.relative < TOLERANCE["bf16"], "what bfloat16 costs is measured"
    monkeypatch.setitem(TOLERANCE, "bf16", 1e-5)
    with pytest.raises(ParityError, match=r"for bf16 is 1e-05\. Export it with --precision image_projector=fp32"):
        graphs(folder, work, "bf16")


def test_the_reference_of_a_comparison_is_the_module_in_fp32(tiny_pipelines: Path) -> None:
    source = tiny.source(tiny_pipelines, QUICK)
    component = COMPONENTS[QUICK]
    prepared = component.prepare(component.load(source))
    (case, *_) = parity.references(prepared, [SMALL])
    lowered = case.lowered(build.lower(prepared, "bf16"))
    assert lowered.rounded is not None
    assert lowered.expected is case.expected
    assert 1e-4 < relative(case.expected[0], lowered.rounded[0]) < 5e-2
    assert case.expected[0].dtype == lowered.rounded[0].dtype == torch.zeros(0).numpy().dtype
    assert json.dumps(prepared.contract.to_json())
