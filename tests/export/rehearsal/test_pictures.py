"""The pictures of a pipeline's graphs, compared with those of its torch modules; a bad graph is caught by them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.errors import ParityError
from export.options import ExportOptions
from export.rehearsal.examples import drawn
from export.rehearsal.pictures import psnr
from export.rehearsal.recording import RehearsalConfig
from export.report import LEAST_PSNR
from export.run import export_graphs
from tests.export import tiny

pytestmark = pytest.mark.timeout(tiny.EXPORT_TIMEOUT_S)


def test_the_graphs_of_a_pipeline_make_the_pictures_of_torch(
    tiny_pipelines: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graphs are those of the shared work folder: nothing is traced here.
    work = Path(shutil.copytree(tiny.work_folder(tmp_path_factory, "fp32"), tmp_path / "work"))
    monkeypatch.setattr("export.graph.trace", None)
    options = ExportOptions(work=work, rehearsal=RehearsalConfig(2, drawn()[:1]))
    export = export_graphs([tiny_pipelines / "tiny-dit"], tiny.silent, options)
    (picture,) = export.pictures
    assert picture.largest <= 1
    assert (picture.pipeline, picture.steps, picture.pictures) == ("tiny-dit", 2, 1)
    for report in export.models:
        real = report.parity.worst_of("real")
        assert real is not None
        assert real.relative <= 1e-4
    (kept,) = (work / "pictures").iterdir()
    assert json.loads(kept.read_text())["psnr"] == picture.psnr
    monkeypatch.setitem(LEAST_PSNR, "fp32", 101.0)
    with pytest.raises(ParityError, match="tiny-dit: after 2 steps its picture is"):
        export_graphs([tiny_pipelines / "tiny-dit"], tiny.silent, options)


def test_equal_pictures_have_the_largest_ratio() -> None:
    assert psnr(np.zeros((2, 2, 3), np.uint8)) == 100.0
    assert round(psnr(np.ones((2, 2, 3), np.uint8)), 2) == 48.13
