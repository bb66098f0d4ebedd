"""Versions: a changed model goes in as the next one, the one before stays loadable until it is pruned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export import rollout
from export.__main__ import main
from export.configs import finish_model
from export.contract import Axis, Contract, TensorSpec
from export.errors import ExportError
from export.files import fingerprint, model_files
from orchestrator.repository.published import expect_digests

SIDES = (Axis("height", 4), Axis("width", 4))
CONTRACT = Contract((TensorSpec("sample", "FP32", (4, *SIDES)),), (TensorSpec("noise_pred", "FP32", (4, *SIDES)),))
PROFILES = ({"sample": {"min": [1, 4, 8, 8], "opt": [8, 4, 8, 8], "max": [8, 4, 8, 8]}},)


def write_model(folder: Path, content: bytes, tokenizer: str = "{}") -> Path:
    """A model as an export leaves it, before its version is known."""
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(content)
    (folder / "tokenizer.json").write_text(tokenizer)
    return folder


def entry(repository: Path) -> dict[str, Any]:
    """The model's entry."""
    result: dict[str, Any] = json.loads((repository / "pipeline.json").read_text())["models"]["denoiser"]
    return result


def put(
    repository: Path, content: bytes, contract: Contract = CONTRACT, tokenizer: str = "{}", adapters: str = ""
) -> dict[str, Any]:
    """Rolls a model out as `run.py` does; returns its entry."""
    new, old = repository.with_name("new"), repository / "denoiser"
    write_model(new / "denoiser", content, tokenizer)
    version, previous = "1", dict[str, Any]()
    if old.exists():
        version, previous = rollout.add_version(new / "denoiser", old, entry(repository), contract)
    result = finish_model(new / "denoiser", contract, version=version, profiles=PROFILES)
    result |= {"adapters": {"names": {name: {} for name in adapters.split()}}} if adapters else {}
    result |= {"previous": previous} if previous else {}
    (new / "pipeline.json").write_text(json.dumps({"format": 1, "models": {"denoiser": result}}))
    if repository.exists():
        repository.rename(repository.with_name(f"retired-{len(list(repository.parent.iterdir()))}"))
    new.rename(repository)
    return result


def config(repository: Path, name: str = "config.pbtxt") -> Any:
    """A config as Triton reads it."""
    return text_format.Parse((repository / "denoiser" / name).read_text(), model_config_pb2.ModelConfig())


def check(repository: Path, version: str) -> None:
    """Everything says that this version is served, and the files are what the entry says."""
    result = entry(repository)
    assert result["version"] == version
    assert result["fingerprint"] == fingerprint(model_files(repository / "denoiser", version))
    for name in ("config.pbtxt", "configs/tensorrt.pbtxt"):
        assert config(repository, name).parameters["fingerprint"].string_value == result["fingerprint"]
        assert list(config(repository, name).version_policy.specific.versions) in ([int(version)], [])
    # As the orchestrator checks it at start.
    expect_digests(repository, {"denoiser": result["files"]})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One version."""
    put(tmp_path / "repository", b"one")
    return tmp_path / "repository"


def test_the_first_version_has_no_policy(repository: Path) -> None:
    assert not config(repository).HasField("version_policy")
    check(repository, "1")


def test_a_changed_model_is_the_next_version(repository: Path) -> None:
    before = entry(repository)
    result = put(repository, b"two")
    assert list(config(repository).version_policy.specific.versions) == [2]
    check(repository, "2")
    assert result["previous"]["1"]["fingerprint"] == before["fingerprint"]
    assert (repository / "denoiser" / "1" / "model.onnx").read_bytes() == b"one"
    assert (repository / "denoiser" / "2" / "model.onnx").read_bytes() == b"two"
    assert "1/model.onnx" not in result["files"]
    assert list(put(repository, b"three")["previous"]) == ["1", "2"]
    check(repository, "3")


def test_an_unchanged_model_keeps_its_version(repository: Path) -> None:
    put(repository, b"two")
    before = entry(repository)
    assert put(repository, b"two") == before
    check(repository, "2")
    assert (repository / "denoiser" / "1" / "model.onnx").read_bytes() == b"one"


def test_the_version_before_is_served_again(repository: Path) -> None:
    put(repository, b"two")
    assert main(["switch", "--out", str(repository), "--model", "denoiser", "--version", "1"]) == 0
    check(repository, "1")
    assert list(config(repository).version_policy.specific.versions) == [1]
    assert list(entry(repository)["previous"]) == ["2"]
    rollout.switch(repository, "denoiser", "2")
    check(repository, "2")
    # A third one is never called 2, whichever is served.
    rollout.switch(repository, "denoiser", "1")
    put(repository, b"three")
    check(repository, "3")


def test_a_version_has_its_own_adapters(repository: Path) -> None:
    def names() -> list[str]:
        return [*entry(repository).get("adapters", {}).get("names", {})]

    put(repository, b"two", adapters="ink")
    put(repository, b"three", adapters="ink chalk")
    for version, adapters in (("2", ["ink"]), ("1", []), ("3", ["ink", "chalk"])):
        rollout.switch(repository, "denoiser", version)
        assert names() == adapters, version


def test_what_is_not_served_can_be_pruned(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(repository, b"two")
    served = config(repository)
    assert main(["prune", "--out", str(repository)]) == 0
    assert "deleted denoiser/1" in capsys.readouterr().err
    check(repository, "2")
    assert not (repository / "denoiser" / "1").exists()
    assert "previous" not in entry(repository)
    assert config(repository) == served
    assert main(["prune", "--out", str(repository), "--model", "denoiser"]) == 0
    assert "nothing to delete" in capsys.readouterr().err
    put(repository, b"three")
    check(repository, "3")


def test_what_is_not_there_is_named(repository: Path) -> None:
    with pytest.raises(ExportError, match=r"has no version 7; there are 1\."):
        rollout.switch(repository, "denoiser", "7")
    with pytest.raises(ExportError, match="has no model 'unet'; there are denoiser"):
        rollout.prune(repository, ["unet"])


def test_a_model_with_another_face_is_no_next_version(repository: Path) -> None:
    wider = Contract((TensorSpec("sample", "FP32", (16, *SIDES)),), CONTRACT.outputs)
    with pytest.raises(ExportError, match="denoiser: sample is not the same in version 1"):
        put(repository, b"two", wider)
    for folder in ("new", "retired"):
        assert not (repository.parent / folder / "pipeline.json").exists()


def test_a_model_with_another_tokenizer_is_no_next_version(repository: Path) -> None:
    with pytest.raises(ExportError, match="version 1 has another tokenizer"):
        put(repository, b"two", tokenizer="[]")
