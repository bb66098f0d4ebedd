"""Bad pipeline folders: each is refused before anything is loaded, with one sentence that names the culprit."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from export.__main__ import main
from export.errors import BadFolderError
from export.models import COMPONENTS
from export.source import open_folder

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(tiny_pipeline: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(tiny_pipeline, tmp_path / "pipeline"))


def edit(path: Path, **changes: Any) -> None:
    """Changes settings of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    """Leaves the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def pickle_instead(folder: Path) -> None:
    """Replaces safetensors weights by a pickle."""
    (folder / WEIGHTS).rename(folder / "diffusion_pytorch_model.bin")


SPOILT: list[tuple[Callable[[Path], Any], str]] = [
    (lambda f: shutil.rmtree(f / "unet"), r"has no unet/, which denoiser is made from"),
    (lambda f: shutil.rmtree(f / "tokenizer_2"), r"has no tokenizer_2/"),
    (lambda f: (f / "reward" / "config.json").unlink(), r"reward/config\.json is missing"),
    (lambda f: (f / "vae" / "config.json").write_text("{"), r"vae/config\.json is not readable JSON"),
    (lambda f: edit(f / "vae" / "config.json", _class_name="VQModel"), r"names the class VQModel; expected"),
    (lambda f: edit(f / "text_encoder" / "config.json", architectures=["T5EncoderModel"]), r"class T5EncoderModel"),
    (lambda f: truncate(f / "unet" / WEIGHTS), r"unet/.* is truncated or damaged: \d+ bytes"),
    (lambda f: (f / "unet" / WEIGHTS).write_bytes(b"\x10"), r"unet/.* is not a safetensors file"),
    (lambda f: (f / "unet" / WEIGHTS).write_bytes(b"\xff" * 64), r"unet/.* is not a safetensors file"),
    (lambda f: pickle_instead(f / "unet"), r"unet/ holds diffusion_pytorch_model\.bin, a pickle"),
    (lambda f: (f / "segmenter" / WEIGHTS).unlink(), r"segmenter/.* is missing"),
    (lambda f: edit(f / "unet" / "config.json", cross_attention_dim=65), r"cross_attention_dim is 65.*needs 64"),
    (lambda f: edit(f / "unet" / "config.json", in_channels=4), r"in_channels is 4.*needs 9"),
    (lambda f: edit(f / "vae" / "config.json", shift_factor=0.1), r"shift_factor"),
    (lambda f: edit(f / "scheduler" / "scheduler_config.json", trained_betas=[0.1]), r"trained_betas"),
    (lambda f: edit(f / "backdrop.json", speed="fast"), r"unknown setting: speed"),
    (lambda f: edit(f / "backdrop.json", buckets=[[64, 65]]), r"bucket \[64, 65\]"),
    (lambda f: edit(f / "backdrop.json", preview={"factors": [[0, 0, 0]], "bias": [0, 0, 0]}), r"needs 4 rows"),
]


def test_the_tiny_folder_is_good(tiny_pipeline: Path) -> None:
    folder = open_folder(tiny_pipeline)
    assert set(folder.configs) == set(COMPONENTS)
    assert folder.schedule["prediction_type"] == "v_prediction"
    assert folder.settings["buckets"] == [[64, 64], [64, 96]]


@pytest.mark.parametrize(("spoil", "message"), SPOILT)
def test_a_bad_folder_is_refused_with_one_sentence(folder: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(folder)
    started = time.monotonic()
    with pytest.raises(BadFolderError, match=message) as refusal:
        open_folder(folder)
    assert time.monotonic() - started < 2
    assert "\n" not in str(refusal.value)


def test_the_command_line_says_the_sentence_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truncate(folder / "vae" / WEIGHTS)
    assert main(["--pipeline", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert f"vae/{WEIGHTS} is truncated or damaged" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["pipeline"]


def test_the_command_line_refuses_a_folder_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--pipeline", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "nowhere is not a folder." in capsys.readouterr().err


def test_weights_that_lack_a_tensor_are_refused_not_filled_with_random_numbers(folder: Path) -> None:
    path = folder / "reward" / WEIGHTS
    tensors = load_file(path)
    del tensors["defects.0.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadFolderError, match=r"its weights lack defects\.0\.weight"):
        COMPONENTS["reward"].load(folder / "reward")
