"""Checkpoints in one file become the diffusers folders that they were made from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from export.__main__ import main
from tests.export.oracle.folders import FAMILIES
from tests.export.original_layout import component, write_single_file

UNET = "model.diffusion_model."


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of two families, each with its single file and with a copy that has no weights."""
    base = tmp_path_factory.mktemp("convert")
    for name in ("sd15-inpaint", "sdxl"):
        FAMILIES[name](base / name)
        write_single_file(base / name, base / f"{name}.safetensors")
        shutil.copytree(base / name, base / f"{name}-configs", ignore=shutil.ignore_patterns("*.safetensors"))
    return base


@pytest.mark.parametrize("name", ["sd15-inpaint", "sdxl"])
def test_a_converted_folder_has_the_weights_that_the_file_was_made_from(
    name: str, places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / name
    assert (
        main(["convert", str(places / f"{name}.safetensors"), str(out), "--config", str(places / f"{name}-configs")])
        == 0
    )
    assert capsys.readouterr().err == f"{out} is ready: give it as --pipeline.\n"
    for folder in (entry.parent for entry in (places / name).glob("*/*.safetensors")):
        expected, converted = component(folder), component(out / folder.name)
        assert set(converted) == set(expected)
        assert all(torch.equal(converted[key], expected[key]) for key in expected), folder.name
    assert main(["inspect", "--pipeline", str(out)]) == 0


def test_each_component_keeps_its_dtype(places: Path, tmp_path: Path) -> None:
    file, out = tmp_path / "mixed.safetensors", tmp_path / "out"
    tensors = load_file(places / "sdxl.safetensors")
    save_file({key: value.half() if key.startswith(UNET) else value for key, value in tensors.items()}, file)
    assert main(["convert", str(file), str(out), "--config", str(places / "sdxl-configs")]) == 0
    dtypes = {name: {tensor.dtype for tensor in component(out / name).values()} for name in ("unet", "vae")}
    assert dtypes == {"unet": {torch.float16}, "vae": {torch.float32}}


def without(prefix: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("first_stage_model."), "lacks the weights of vae: take the publisher's complete checkpoint"),
        (without(f"{UNET}middle_block.0."), "the file lacks weights that the configs ask for"),
        (lambda tensors: tensors | {"scaled_fp8": torch.ones(1)}, "holds scaled FP8 numbers"),
        (lambda tensors: tensors | {"v_pred": torch.ones(0)}, 'set "prediction_type": "v_prediction" there'),
    ],
)
def test_what_cannot_be_converted_is_refused(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    message: str,
    places: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, out = tmp_path / "model.safetensors", tmp_path / "out"
    save_file(change(load_file(places / "sdxl.safetensors")), file)
    assert main(["convert", str(file), str(out), "--config", str(places / "sdxl-configs")]) == 1
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [file], "nothing is left behind"


def test_a_v_prediction_file_takes_configs_that_say_so(places: Path, tmp_path: Path) -> None:
    file, configs = tmp_path / "model.safetensors", tmp_path / "configs"
    save_file(load_file(places / "sdxl.safetensors") | {"v_pred": torch.ones(0)}, file)
    shutil.copytree(places / "sdxl-configs", configs)
    scheduler = configs / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(json.loads(scheduler.read_text()) | {"prediction_type": "v_prediction"}))
    assert main(["convert", str(file), str(tmp_path / "out"), "--config", str(configs)]) == 0


@pytest.mark.parametrize("part", ["tokenizer", "vae"])
def test_configs_that_lack_a_part_are_refused(
    part: str, places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = tmp_path / "configs"
    shutil.copytree(places / "sdxl-configs", configs, ignore=shutil.ignore_patterns(part))
    assert main(["convert", str(places / "sdxl.safetensors"), str(tmp_path / "out"), "--config", str(configs)]) == 1
    assert f"configs lacks {part}/, which its model_index.json names: download those of" in capsys.readouterr().err
