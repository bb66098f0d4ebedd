"""The repository: the contract of config.pbtxt and pipeline.json, and that it appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format
from tokenizers import Tokenizer
from tritonclient.grpc import model_config_pb2

from export import parity, repository
from export.errors import ExportError
from export.models import COMPONENTS
from export.run import export_pipeline
from tests.export.tiny import TOKENS, VOCABULARY


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest."""
    return repository.model_files(folder)


def quiet(role: str, what: str) -> None:
    """No progress in tests."""


def test_every_config_is_one_that_triton_reads(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    for role in COMPONENTS:
        config = text_format.Parse(
            (tiny_repository / role / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        assert config.name == role
        assert config.backend == "onnxruntime"
        assert config.max_batch_size >= 8
        assert config.dynamic_batching.max_queue_delay_microseconds == 0
        assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
        assert config.parameters["fingerprint"].string_value == models[role]["fingerprint"]
        for ours, theirs in ((models[role]["inputs"], config.input), (models[role]["outputs"], config.output)):
            assert [entry["name"] for entry in ours] == [entry.name for entry in theirs]
            assert [entry["shape"] for entry in ours] == [list(entry.dims) for entry in theirs]
            names = [model_config_pb2.DataType.Name(entry.data_type) for entry in theirs]
            assert [f"TYPE_{entry['dtype']}" for entry in ours] == names


def test_digests_and_fingerprints_follow_the_contract(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    for role, entry in models.items():
        lines = ""
        for name in sorted(entry["files"]):
            digest = hashlib.sha256((tiny_repository / role / name).read_bytes()).hexdigest()
            assert entry["files"][name] == f"sha256:{digest}"
            if name != "config.pbtxt":
                lines += f"{name} {digest}\n"
        assert entry["fingerprint"] == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
        on_disk = {
            path.relative_to(tiny_repository / role).as_posix() for path in (tiny_repository / role).rglob("*.*")
        }
        assert set(entry["files"]) == on_disk


def test_the_pipeline_entry_holds_what_the_folder_says(tiny_repository: Path) -> None:
    content = json.loads((tiny_repository / "pipeline.json").read_text())
    assert content["format"] == 1
    assert content["default"] == "tiny"
    pipeline = content["pipelines"]["tiny"]
    assert pipeline["components"] == {role: role for role in COMPONENTS}
    assert pipeline["latents"] == {"channels": 4, "factor": 8, "scale": 0.5}
    assert pipeline["schedule"]["prediction_type"] == "v_prediction"
    assert set(pipeline["schedule"]) == {
        *("num_train_timesteps", "beta_schedule", "beta_start", "beta_end"),
        *("prediction_type", "timestep_spacing", "steps_offset"),
    }
    assert pipeline["text"] == {"max_tokens": TOKENS}
    assert pipeline["provenance"] == {"trained_on": "nothing"}


def test_tokenizers_pad_to_the_encoder_and_never_cut(tiny_repository: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_repository / "text_encoder_g" / "tokenizer.json"))
    short = tokenizer.encode("a b")
    assert len(short.ids) == TOKENS
    assert short.ids[0] == VOCABULARY - 2
    assert sum(short.attention_mask) == 4
    assert len(tokenizer.encode("a " * 40).ids) == 42


def test_a_failed_export_leaves_the_old_repository_and_nothing_else(
    tiny_pipeline: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    before = tree(out)
    monkeypatch.setitem(parity.TOLERANCE, "fp32", -1.0)
    with pytest.raises(ExportError, match=r"reward: scores differs from torch"):
        export_pipeline(tiny_pipeline, out, "tiny", ["reward"], quiet)
    assert tree(out) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["repository"]


def test_one_component_alone_goes_into_a_repository_that_has_the_others(
    tiny_pipeline: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    (out / "reward" / "1" / "model.onnx").write_bytes(b"old")
    (out / "README.md").write_text("kept")
    export_pipeline(tiny_pipeline, out, "tiny", ["reward"], quiet)
    assert (out / "README.md").read_text() == "kept"
    (out / "README.md").unlink()
    assert tree(out) == tree(tiny_repository)


def test_one_component_alone_needs_the_others_to_be_there(tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has no segmenter yet"):
        export_pipeline(tiny_pipeline, tmp_path / "new", "tiny", ["reward"], quiet)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_component_is_named(tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no component 'upscaler'"):
        export_pipeline(tiny_pipeline, tmp_path / "new", "tiny", ["upscaler"], quiet)


def test_a_folder_of_something_else_is_never_replaced(tiny_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(ExportError, match=r"holds photos/ but no pipeline\.json"):
        export_pipeline(tiny_pipeline, tmp_path, "tiny", None, quiet)


def test_an_interrupted_swap_puts_the_old_repository_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "repository"
    out.mkdir()
    (out / "pipeline.json").write_text("old")
    rename = Path.rename

    def fail_for_new(path: Path, target: Path) -> Path:
        if ".new-" in path.name:
            raise OSError("disk on fire")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OSError, match="disk on fire"), repository.staged(out) as staging:
        (staging / "pipeline.json").write_text("new")
    assert (out / "pipeline.json").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["repository"]
