"""The repository check: a bad file, digest, shape or role is found and named."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.repository import ROLES, RepositoryError, check_served, load
from orchestrator.triton.tensors import ModelMetadata, TensorSpec


def document(folder: Path) -> dict[str, Any]:
    """Writes a repository of one-byte models and returns its pipeline.json."""
    models = {}
    for role in ROLES:
        (folder / role / "1").mkdir(parents=True)
        (folder / role / "1" / "model.onnx").write_bytes(b"x")
        models[role] = {
            "version": "1",
            "fingerprint": f"sha256:{role}",
            "files": {"1/model.onnx": "sha256:" + hashlib.sha256(b"x").hexdigest()},
            "inputs": [{"name": "image", "dtype": "FP32", "shape": [3, -1, -1]}],
            "outputs": [{"name": "out", "dtype": "FP32", "shape": [4]}],
        }
    pipeline = {
        "description": "d",
        "components": {role: role for role in ROLES},
        "schedule": {
            "num_train_timesteps": 1000, "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
            "prediction_type": "v_prediction", "timestep_spacing": "trailing", "steps_offset": 1,
        },
        "schedulers": ["ddim"],
        "defaults": {"scheduler": "ddim", "steps": 4, "guidance_scale": 2.0},
        "latents": {"channels": 4, "factor": 8, "scale": 1.0},
        "preview": {"factors": [[0, 0, 0]] * 4, "bias": [0, 0, 0]},
        "text": {"max_tokens": 77},
        "buckets": [[64, 64]],
        "reward_heads": ["defects"],
    }  # fmt: skip
    return {"format": 1, "default": "p", "pipelines": {"p": pipeline}, "models": models}


def write(folder: Path, value: object) -> None:
    (folder / "pipeline.json").write_text(json.dumps(value))


def test_a_good_repository_loads(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    repository = load(tmp_path)
    assert repository.pipelines["p"].fingerprints["denoiser"] == "sha256:denoiser"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d, f: d.update(format=2), "format 2"),
        (lambda d, f: d.update(default="q"), "'q'"),
        (lambda d, f: d["models"].pop("reward"), "no model for reward"),
        (lambda d, f: d["pipelines"]["p"].pop("schedule"), "schedule"),
        (lambda d, f: d["pipelines"]["p"]["defaults"].update(scheduler="euler"), "euler"),
        (lambda d, f: (f / "denoiser/1/model.onnx").write_bytes(b"y"), "denoiser/1/model.onnx"),
        (lambda d, f: (f / "vae_decoder/1/model.onnx").unlink(), "vae_decoder/1/model.onnx"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: Any, words: str) -> None:
    value = document(tmp_path)
    change(value, tmp_path)
    write(tmp_path, value)
    with pytest.raises(RepositoryError, match=words):
        load(tmp_path)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="not there"):
        load(tmp_path)
    (tmp_path / "pipeline.json").write_text("{")
    with pytest.raises(RepositoryError, match="not JSON"):
        load(tmp_path)


def test_what_triton_serves_is_compared(tmp_path: Path) -> None:
    write(tmp_path, document(tmp_path))
    model = load(tmp_path).pipelines["p"].models["denoiser"]
    served = ModelMetadata(model.name, model.inputs, model.outputs, 8, model.fingerprint)
    check_served(model, served)
    with pytest.raises(RepositoryError, match=r"denoiser.*sha256:other"):
        check_served(model, dataclasses.replace(served, fingerprint="sha256:other"))
    narrow = dataclasses.replace(served, inputs=(TensorSpec("image", "FP16", (3, -1, -1)),))
    with pytest.raises(RepositoryError, match=r"input image is .*FP16"):
        check_served(model, narrow)
    nameless = dataclasses.replace(served, outputs=())
    with pytest.raises(RepositoryError, match="output out is missing"):
        check_served(model, nameless)
