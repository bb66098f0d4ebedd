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

from export import repository
from export.errors import ExportError
from export.files import model_files
from export.models import COMPONENTS
from export.options import ExportOptions
from export.report import TOLERANCE
from export.run import export_pipelines
from tests.export.tiny import BUCKETS, NAMES, T5_TOKENS, TOKENS, VOCABULARY


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with its digest."""
    return model_files(folder)


def quiet(name: str, what: str) -> None:
    """No progress in tests."""


def export(folder: Path, out: Path, names: list[str] | None) -> None:
    """Exports the tiny pipelines, or some of their models."""
    export_pipelines([folder / name for name in NAMES], out, quiet, names=names, options=ExportOptions(engines=True))


def test_every_config_is_one_that_triton_reads(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    for role in COMPONENTS:
        # In the tiny repository, every model has its component's name.
        config = text_format.Parse(
            (tiny_repository / role / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
        )
        assert config.name == role
        assert config.backend == "onnxruntime"
        assert config.max_batch_size >= 8
        assert config.dynamic_batching.max_queue_delay_microseconds == 0
        assert config.dynamic_batching.default_queue_policy.max_queue_size > 0
        assert (config.dynamic_batching.priority_levels, config.dynamic_batching.default_priority_level) == (3, 2)
        assert config.parameters["fingerprint"].string_value == models[role]["fingerprint"]
        for ours, theirs in ((models[role]["inputs"], config.input), (models[role]["outputs"], config.output)):
            assert [entry["name"] for entry in ours] == [entry.name for entry in theirs]
            assert [entry["shape"] for entry in ours] == [list(entry.dims) for entry in theirs]
            names = [model_config_pb2.DataType.Name(entry.data_type) for entry in theirs]
            assert [f"TYPE_{entry['dtype']}" for entry in ours] == names


def test_every_model_has_a_config_for_engines_too(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    for role, entry in models.items():
        plain, engine = (
            text_format.Parse((tiny_repository / role / name).read_text(), model_config_pb2.ModelConfig())
            for name in ("config.pbtxt", "configs/tensorrt.pbtxt")
        )
        assert (engine.platform, engine.backend) == ("tensorrt_plan", "")
        assert engine.default_model_filename == "model.plan"
        assert engine.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
        assert list(engine.instance_group[0].profile) == [str(number) for number in range(len(entry["profiles"]))]
        # The rest is word for word the same: names and shapes cannot drift apart.
        for part in ("input", "output", "max_batch_size", "dynamic_batching", "parameters", "version_policy"):
            assert getattr(plain, part) == getattr(engine, part)
        assert not list((tiny_repository / role).rglob("*.plan"))


def test_digests_and_fingerprints_follow_the_contract(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    for role, entry in models.items():
        lines = ""
        for name in sorted(entry["files"]):
            digest = hashlib.sha256((tiny_repository / role / name).read_bytes()).hexdigest()
            assert entry["files"][name] == f"sha256:{digest}"
            if name != "config.pbtxt" and not name.startswith("configs/"):
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
    own = {"denoiser_dit", "text_encoder_t5"}
    assert pipeline["components"] == {role: role for role in COMPONENTS if role not in own}
    assert pipeline["latents"] == {"channels": 4, "factor": 8, "scale": 0.5}
    assert pipeline["schedule"]["prediction_type"] == "v_prediction"
    assert set(pipeline["schedule"]) == {
        *("num_train_timesteps", "beta_schedule", "beta_start", "beta_end"),
        *("prediction_type", "timestep_spacing", "steps_offset", "set_alpha_to_one"),
    }
    assert pipeline["schedulers"] == ["ddim", "euler", "dpmpp_2m", "ddpm"]
    assert pipeline["defaults"] == {"scheduler": "ddim", "steps": 50, "guidance_scale": 7.5, "image_scale": 1.0}
    text = {"states": ["text_encoder_l", "text_encoder_g"], "pooled": ["text_encoder_g"]}
    assert pipeline["text"] == {"max_tokens": TOKENS, **text}
    assert pipeline["conventions"] == {
        "latent_mask": "nearest",
        "empty_negative": "zeros",
        "unconditional_image": "off",
        "hole_colours": "decoded",
    }
    assert pipeline["provenance"] == {"trained_on": "nothing"}


def test_a_second_pipeline_shares_what_it_has_not_of_its_own(tiny_repository: Path) -> None:
    content = json.loads((tiny_repository / "pipeline.json").read_text())
    pipeline = content["pipelines"]["tiny-dit"]
    shared = {"segmenter", "text_encoder_g", "vae_encoder", "vae_decoder", "reward", "upscaler"}
    assert pipeline["components"] == {role: role for role in shared} | {
        "text_encoder_t5": "text_encoder_t5",
        "denoiser": "denoiser_dit",
    }
    assert pipeline["schedule"] == {"num_train_timesteps": 1000, "prediction_type": "flow", "shift": 3.0}
    assert pipeline["schedulers"] == ["flow_euler"]
    assert pipeline["defaults"] == {"scheduler": "flow_euler", "steps": 8, "guidance_scale": 7.0}
    text = {"states": ["text_encoder_t5"], "pooled": ["text_encoder_g"]}
    assert pipeline["text"] == {"max_tokens": TOKENS, "t5_max_tokens": T5_TOKENS, **text}
    assert pipeline["buckets"] == BUCKETS
    assert pipeline["provenance"] == {}


def test_image_tokens_have_the_shape_that_their_projector_makes(tiny_repository: Path) -> None:
    models = json.loads((tiny_repository / "pipeline.json").read_text())["models"]
    inputs = {spec["name"]: spec["shape"] for spec in models["denoiser"]["inputs"]}
    (tokens,) = models["image_projector"]["outputs"]
    assert inputs["image_tokens"] == tokens["shape"] == [2, 64]
    assert inputs["image_scale"] == [1]
    assert "image_tokens" not in {spec["name"] for spec in models["denoiser_dit"]["inputs"]}


@pytest.mark.parametrize(("name", "length"), [("text_encoder_g", TOKENS), ("text_encoder_t5", T5_TOKENS)])
def test_tokenizers_pad_to_the_encoder_and_never_cut(name: str, length: int, tiny_repository: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_repository / name / "tokenizer.json"))
    short = tokenizer.encode("a b")
    assert len(short.ids) == length
    assert short.ids[0] == VOCABULARY - 2
    assert sum(short.attention_mask) == 4
    assert len(tokenizer.encode("a " * 40).ids) == 42


def test_a_failed_export_leaves_the_old_repository_and_nothing_else(
    tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    before = tree(out)
    monkeypatch.setitem(TOLERANCE, "fp32", -1.0)
    with pytest.raises(ExportError, match=r"reward: scores differs from torch"):
        export(tiny_pipelines, out, ["reward"])
    assert tree(out) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["repository"]


def test_one_component_alone_goes_into_a_repository_that_has_the_others(
    tiny_pipelines: Path, tiny_repository: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(tiny_repository, tmp_path / "repository"))
    (out / "reward" / "1" / "model.onnx").write_bytes(b"old")
    (out / "README.md").write_text("kept")
    export(tiny_pipelines, out, ["reward"])
    assert (out / "README.md").read_text() == "kept"
    (out / "README.md").unlink()
    assert tree(out) == tree(tiny_repository)


def test_one_component_alone_needs_the_others_to_be_there(tiny_pipelines: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="has no segmenter yet"):
        export(tiny_pipelines, tmp_path / "new", ["reward"])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_component_is_named(tiny_pipelines: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no component 'painter'"):
        export(tiny_pipelines, tmp_path / "new", ["painter"])


def test_a_folder_of_something_else_is_never_replaced(tiny_pipelines: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(ExportError, match=r"holds photos/ but no pipeline\.json"):
        export(tiny_pipelines, tmp_path, None)


def test_an_interrupted_swap_puts_the_old_repository_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "repository"
    out.mkdir()
    (out / "pipeline.json").write_text("old")
    rename = Path.rename

    def fail_for_new(path: Path, target: Path) -> Path:
        if target == out and (path / "pipeline.json").read_text() == "new":
            raise OSError("disk on fire")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OSError, match="disk on fire"), repository.staged(out) as staging:
        (staging / "pipeline.json").write_text("new")
    assert (out / "pipeline.json").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["repository"]
