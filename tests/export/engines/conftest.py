"""A repository of one model whose graph only the stand-in reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.configs import finish_model
from export.contract import Axis, Contract, TensorSpec

PROFILES = ({"sample": {"min": [1, 4, 8, 8], "opt": [8, 4, 8, 8], "max": [8, 4, 8, 8]}},)
SIDES = (Axis("height", 4), Axis("width", 4))
CONTRACT = Contract((TensorSpec("sample", "FP32", (4, *SIDES)),), (TensorSpec("noise_pred", "FP32", (4, *SIDES)),))


def write(folder: Path, precision: str = "fp16") -> Path:
    """Writes the repository."""
    version = folder / "denoiser" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_text('["sample"]')
    entry = finish_model(folder / "denoiser", CONTRACT, precision, profiles=PROFILES)
    (folder / "pipeline.json").write_text(json.dumps({"format": 1, "models": {"denoiser": entry}}))
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository exported with --target tensorrt."""
    return write(tmp_path / "repository")
