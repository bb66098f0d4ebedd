"""Bad pipeline folders: each is refused before anything is loaded, with one sentence that names the culprit."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save_file

from export.__main__ import main
from export.contract import Size
from export.errors import BadFolderError
from export.layout import IMAGE_ROLES
from export.models import COMPONENTS
from export.source import open_folder

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folders(tiny_pipelines: Path, tmp_path: Path) -> Path:
    """A copy of all tiny folders to spoil."""
    return Path(shutil.copytree(tiny_pipelines, tmp_path / "pipelines"))


@pytest.fixture
def folder(folders: Path) -> Path:
    """The first of them."""
    return folders / "tiny"


def edit(path: Path, **changes: Any) -> None:
    """Changes settings of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    """Leaves the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def misdescribe(path: Path) -> None:
    """Says of a tensor that it is larger than it is."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"][0] += 1
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


def shard(folder: Path, *names: str) -> None:
    """Replaces the weights by an index that names shards, of which only the first is there."""
    (folder / WEIGHTS).rename(folder / names[0])
    weight_map = {f"tensor{number}": name for number, name in enumerate(names)}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": weight_map}))


def pickle_instead(folder: Path) -> None:
    """Replaces safetensors weights by a pickle."""
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")


SPOILT: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: shutil.rmtree(f / "unet"), r"tiny/ has no unet/ or transformer/, which denoiser is"),
    (lambda f: shutil.rmtree(f / "tokenizer_2"), r"has no tokenizer_2/"),
    (lambda f: (f / "reward" / "config.json").unlink(), r"reward/config\.json is missing"),
    (lambda f: (f / "vae" / "config.json").write_text("{"), r"vae/config\.json is not readable JSON"),
    (lambda f: edit(f / "vae" / "config.json", _class_name="VQModel"), r"names the class VQModel; expected"),
    (lambda f: edit(f / "text_encoder" / "config.json", architectures=["T5EncoderModel"]), r"class T5EncoderModel"),
    (lambda f: truncate(f / "unet" / WEIGHTS), r"unet/.* is truncated or damaged: \d+ bytes"),
    (lambda f: (f / "unet" / WEIGHTS).write_bytes(b"\x10"), r"unet/.* is not a safetensors file"),
    (lambda f: (f / "unet" / WEIGHTS).write_bytes(b"\xff" * 64), r"unet/.* is not a safetensors file"),
    (lambda f: pickle_instead(f / "unet"), r"unet/ holds diffusion_pytorch_model\.bin, a pickle"),
    (lambda f: misdescribe(f / "unet" / WEIGHTS), r"unet/.* is damaged: .* of F16, in \d+ bytes"),
    (lambda f: shard(f / "unet", "one.safetensors", "two.safetensors"), r"unet/two\.safetensors is missing"),
    (lambda f: shard(f / "unet", "one.safetensors", "../two.safetensors"), r"index\.json points outside its folder"),
    (lambda f: shutil.rmtree(f / "vae"), r"tiny/ has no vae/"),
    (lambda f: (f / "segmenter" / WEIGHTS).unlink(), r"segmenter/.* is missing"),
    (lambda f: edit(f / "unet" / "config.json", cross_attention_dim=65), r"cross_attention_dim is 65.*needs 64"),
    (lambda f: edit(f / "unet" / "config.json", in_channels=5), r"in_channels is 5.*needs 9"),
    (lambda f: edit(f / "unet" / "config.json", in_channels=4), r"unet/config\.json: in_channels is 4.*needs 9"),
    (lambda f: edit(f / "vae" / "config.json", latent_channels=8), r"in_channels is 9.*needs 17"),
    (lambda f: edit(f / "vae" / "config.json", latents_mean=[0.1]), r"latents_mean"),
    (lambda f: edit(f / "scheduler" / "scheduler_config.json", trained_betas=[0.1]), r"trained_betas"),
    (lambda f: shutil.rmtree(f / "image_encoder"), r"tiny/ has no image_encoder/, which image_encoder_clip is made"),
    (lambda f: shutil.rmtree(f / "image_projector"), r"tiny/ has no image_projector/"),
    (lambda f: truncate(f / "ip_adapter" / "ip_adapter.safetensors"), r"ip_adapter/.* is truncated"),
    (lambda f: edit(f / "image_projector" / "config.json", cross_attention_dim=32), r"cross_attention_dim is 32.*64"),
    (lambda f: edit(f / "image_projector" / "config.json", uve_dim=128), r"uve_dim is 128.*needs 12"),
    (lambda f: edit(f / "image_encoder" / "config.json", projection_dim=8), r"clip_dim is 16.*needs 8"),
    (lambda f: edit(f / "backdrop.json", speed="fast"), r"unknown setting: speed"),
    (lambda f: edit(f / "backdrop.json", buckets=[[64, 65]]), r"bucket \[64, 65\]"),
    (lambda f: edit(f / "backdrop.json", preview={"factors": [[0, 0, 0]], "bias": [0, 0, 0]}), r"needs 4 rows"),
]


DIT_SPOILT: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: shutil.rmtree(f / "text_encoder_3"), r"tiny-dit/ has no text_encoder_3/, which text_encoder_t5 is made"),
    (lambda f: shutil.rmtree(f / "tokenizer_3"), r"tiny-dit/ has no tokenizer_3/, which text_encoder_t5 needs"),
    (lambda f: edit(f / "tokenizer_3" / "tokenizer_config.json", model_max_length=10**30), r"model_max_length is 1000"),
    (lambda f: edit(f / "transformer" / "config.json", in_channels=16), r"transformer: in_channels is 16.*needs 9"),
    (lambda f: edit(f / "transformer" / "config.json", joint_attention_dim=4096), r"joint_attention_dim is 4096.*24"),
    (lambda f: edit(f / "scheduler" / "scheduler_config.json", use_dynamic_shifting=True), r"use_dynamic_shifting"),
    (lambda f: edit(f / "scheduler" / "scheduler_config.json", _class_name="FlowMatchHeunDiscreteScheduler"), r"Heun"),
    (lambda f: edit(f / "backdrop.json", shares="../nobody"), r"shares \.\./nobody, which is not a folder"),
    (lambda f: edit(f / "backdrop.json", shares="."), r"shares \., which itself shares"),
    (lambda f: edit(f / "backdrop.json", defaults={"scheduler": "ddim"}), r"is not one of the folder.s: flow_euler"),
    (lambda f: edit(f / "backdrop.json", buckets=[[64, 224]]), r"bucket \[64, 224\] is beyond the transformer's 192"),
]


def test_the_tiny_folder_is_good(tiny_pipeline: Path) -> None:
    folder = open_folder(tiny_pipeline)
    assert folder.name == "tiny"
    assert list(folder.sources) == [name for name in COMPONENTS if name not in ("text_encoder_t5", "denoiser_dit")]
    assert folder.schedule["prediction_type"] == "v_prediction"
    assert folder.settings["buckets"] == [[64, 64], [64, 96]]


def test_a_folder_without_an_adapter_takes_no_style_pictures(folder: Path) -> None:
    for name in ("ip_adapter", "image_projector", "image_encoder", "image_encoder_uve"):
        shutil.rmtree(folder / name)
    pipeline = open_folder(folder)
    assert not set(pipeline.sources) & set(IMAGE_ROLES)
    assert pipeline.sources["denoiser"].adapter is None
    assert "image_scale" not in pipeline.settings["defaults"]
    component = COMPONENTS["denoiser"]
    prepared = component.prepare(component.load(pipeline.sources["denoiser"]))
    assert [spec.name for spec in prepared.inputs][-1] == "time_ids"
    with torch.inference_mode():
        assert prepared.module(*prepared.sample(2, Size(64, 96, 16), torch.Generator().manual_seed(0))).shape[0] == 2


def test_shared_components_come_from_the_other_folder(tiny_pipelines: Path) -> None:
    fast = open_folder(tiny_pipelines / "tiny-fast")
    assert fast.sources["denoiser"].folder == tiny_pipelines / "tiny-fast" / "unet"
    assert fast.sources["vae_encoder"].folder.resolve() == tiny_pipelines / "tiny" / "vae"
    assert fast.schedulers == ("lcm",)
    assert fast.settings["defaults"] == {"scheduler": "lcm", "steps": 4, "guidance_scale": 1.0, "image_scale": 1.0}
    # The buckets are the shared components' business, where the weights come from is each folder's own.
    assert fast.settings["buckets"] == [[64, 64], [64, 96]]
    assert fast.settings["provenance"] == {}


def test_an_lcm_schedule_that_the_sampler_does_not_know_is_refused(folders: Path) -> None:
    edit(folders / "tiny-fast" / "scheduler" / "scheduler_config.json", original_inference_steps=40)
    with pytest.raises(BadFolderError, match="original_inference_steps to 40: the sampler has"):
        open_folder(folders / "tiny-fast")


@pytest.mark.parametrize(("spoil", "message"), DIT_SPOILT)
def test_a_bad_transformer_folder_is_refused(folders: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(folders / "tiny-dit")
    with pytest.raises(BadFolderError, match=message):
        open_folder(folders / "tiny-dit")


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_a_bad_folder_is_refused_with_one_sentence(folder: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(folder)
    with pytest.raises(BadFolderError, match=message) as refusal:
        open_folder(folder)
    assert "\n" not in str(refusal.value)


def test_the_command_line_says_the_sentence_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(folder / "vae" / WEIGHTS)
    assert main(["all", "--pipeline", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert f"vae/{WEIGHTS} is truncated or damaged" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pipelines"]


def test_the_command_line_refuses_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["all", "--pipeline", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "nowhere is not a folder." in capsys.readouterr().err


def test_weights_that_lack_a_tensor_are_refused_not_filled_with_random_numbers(folder: Path) -> None:
    path = folder / "reward" / WEIGHTS
    tensors = load_file(path)
    name = sorted(tensors)[0]
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadFolderError, match=f"its weights lack {re.escape(name)}"):
        COMPONENTS["reward"].load(open_folder(folder).sources["reward"])
