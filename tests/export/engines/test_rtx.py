"""Every reference component builds with TensorRT for RTX, which needs no GPU for that: in FP32 and in fp16.

That it builds says that TensorRT knows every operator and shape. What the engine computes, only a GPU shows.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from export.engines import seam
from export.engines.identity import Identity
from export.engines.seam import BuildOptions
from export.layout import KINDS
from tests.export.tiny import EXPORT_TIMEOUT_S, SMALL_ONES

MISSING = importlib.util.find_spec("tensorrt_rtx") is None
pytestmark = [
    pytest.mark.skipif(MISSING, reason="tensorrt_rtx is not installed (pip install tensorrt-rtx-cu13==1.7.1.116)"),
    pytest.mark.timeout(EXPORT_TIMEOUT_S),
]


def builds(repository: Path, name: str, precision: str) -> None:
    """Builds a model's engine with the repository's own shapes."""
    entry = json.loads((repository / "pipeline.json").read_text())["models"][name]
    assert entry["precision"] == precision
    builder = seam.find("tensorrt_rtx")
    engine = builder.build(repository / name / "1" / "model.onnx", entry["profiles"], BuildOptions())
    assert len(engine) > 1000
    assert Identity.of(name, entry, seam.local_target(builder, BuildOptions())).file.suffix == ".rtx"


@pytest.mark.parametrize("name", list(KINDS))
def test_every_component_builds_in_fp32(name: str, tiny_repository: Path) -> None:
    builds(tiny_repository, name, "fp32")


@pytest.mark.parametrize("name", SMALL_ONES)
def test_small_components_build_in_fp16(name: str, half_repository: Path) -> None:
    builds(half_repository, name, "fp16")


@pytest.mark.full
@pytest.mark.parametrize("name", list(KINDS))
def test_every_component_builds_in_fp16(name: str, whole_half_repository: Path) -> None:
    builds(whole_half_repository, name, "fp16")
