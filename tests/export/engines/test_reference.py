"""The reference pipelines themselves, as they are published: each component is exported, compared, and built by RTX.

The tiny pipelines show the same of every class in seconds; this shows it of the weights that are served.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from export.engines import seam
from export.engines.builds import models_of
from export.engines.seam import BuildOptions
from export.options import ExportOptions
from export.precision import Precision, Precisions
from export.run import export_pipelines
from tests.conftest import ROOT

FOLDERS = sorted(path.parent for path in (ROOT / "training" / "weights").glob("backdrop*/model_index.json"))
MISSING = importlib.util.find_spec("tensorrt_rtx") is None
pytestmark = [
    pytest.mark.skipif(MISSING, reason="tensorrt_rtx is not installed (pip install tensorrt-rtx-cu13==1.7.1.116)"),
    pytest.mark.full,
    # Tracing thirteen components takes two minutes on an idle core.
    pytest.mark.timeout(1800),
]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_reference_pipelines_are_exported_with_parity_and_built(precision: Precision, tmp_path: Path) -> None:
    options = ExportOptions(Precisions(precision), engines=True, batches=(1,))
    repository = tmp_path / "repository"
    export = export_pipelines(FOLDERS, repository, lambda name, what: None, options=options)
    assert {report.parity.precision for report in export.models} == {precision}
    builder, models = seam.find("tensorrt_rtx"), models_of(repository)
    assert set(models) == {report.model for report in export.models}
    assert len(models) >= 13
    for name, entry in models.items():
        engine = builder.build(repository / name / "1" / "model.onnx", entry["profiles"], BuildOptions())
        assert len(engine) > 1000, name
