"""What people give as --pipeline and is none: each is answered with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from export.__main__ import main
from export.convert import expect_config
from export.errors import BadFolderError, ExportError
from export.pipeline_path import expect_pipeline
from export.single_file import family_of, how_to_convert

LAYER = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
BLOCK = "model.diffusion_model.input_blocks.0.0.weight"


def tensors(path: Path, **shapes: tuple[int, ...]) -> Path:
    """A safetensors file of zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    return path


def checkpoint(path: Path, channels: int = 4, *, xl: bool = True) -> Path:
    """The beginning of a checkpoint in one file."""
    text = "conditioner.embedders.1.model.ln_final.weight" if xl else "cond_stage_model.transformer.a.weight"
    return tensors(path, **{BLOCK: (8, channels, 3, 3), text: (4,)})


def lora(path: Path) -> Path:
    """A LoRA."""
    return tensors(path, **{f"{LAYER}.lora_A.weight": (4, 8)})


def pickled(path: Path) -> Path:
    """A pickle."""
    path.write_bytes(b"\x80\x04.")
    return path


def peft(folder: Path) -> Path:
    """A peft adapter."""
    lora(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    return folder


CASES: list[tuple[Callable[[Path], Path], str]] = [
    (
        lambda p: Path("stabilityai/stable-diffusion-xl-base-1.0"),
        r"hf download stabilityai/stable-diffusion-xl-base-1\.0 ",
    ),
    (lambda p: Path("https://huggingface.co/a/b/tree/main"), r"^a/b is not a folder.*`hf download a/b --local-dir b "),
    (lambda p: p / "nowhere", r"nowhere is not a folder\.$"),
    (lambda p: checkpoint(p / "model.safetensors"), r"python -m export convert .*model\.safetensors .*/model --config"),
    (
        lambda p: checkpoint(p / "in" / "model.safetensors").parent,
        r"in/ is no diffusers folder\. model\.safetensors is a",
    ),
    (lambda p: lora(p / "style.safetensors"), r"style\.safetensors is a LoRA: give it as --adapter NAME="),
    (lambda p: tensors(p / "w.safetensors", **{"down_blocks.0": (1,)}), "holds the weights of one component"),
    (lambda p: pickled(p / "model.ckpt"), r"model\.ckpt is a pickle, which can run code"),
    (lambda p: pickled(p / "model.gguf"), r"model\.gguf is a file, not a diffusers folder"),
    (lambda p: peft(p / "brand"), r"brand/ is a peft adapter: give it as --adapter NAME="),
    (lambda p: p / "tiny" / "unet", r"unet/ is one component of a pipeline: give the folder above it, .*tiny\.$"),
    (lambda p: p, r"is no pipeline's folder, but .*tiny is: give --pipeline that"),
]


@pytest.mark.parametrize(("give", "message"), CASES)
def test_what_is_no_pipeline_is_answered(
    give: Callable[[Path], Path], message: str, tiny_pipeline: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny").mkdir()
    shutil.copytree(tiny_pipeline / "unet", tmp_path / "tiny" / "unet")
    with pytest.raises(BadFolderError, match=message) as refusal:
        expect_pipeline(give(tmp_path))
    assert "\n" not in str(refusal.value)


def test_the_command_line_says_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["all", "--pipeline", "a/b", "--out", str(tmp_path / "out")]) == 1
    assert "hf download a/b --local-dir b" in capsys.readouterr().err


def test_families_are_known_by_their_tensors(tmp_path: Path) -> None:
    files = {
        "StableDiffusionXLPipeline": checkpoint(tmp_path / "a.safetensors"),
        "StableDiffusionXLInpaintPipeline": checkpoint(tmp_path / "b.safetensors", 9),
        "StableDiffusionPipeline": checkpoint(tmp_path / "c.safetensors", xl=False),
        "StableDiffusionInpaintPipeline": checkpoint(tmp_path / "d.safetensors", 9, xl=False),
        "StableDiffusion3Pipeline": tensors(
            tmp_path / "e.safetensors", **{"model.diffusion_model.joint_blocks.0.context_block.attn.proj.bias": (4,)}
        ),
    }
    assert {family_of(path): path for path in files.values()} == files
    other = tensors(tmp_path / "f.safetensors", **{"model.diffusion_model.double_blocks.0": (4,)})
    with pytest.raises(BadFolderError, match="of no family that can be exported"):
        how_to_convert(other)


def test_configs_of_another_family_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    file, config = checkpoint(tmp_path / "a.safetensors", 9), tmp_path / "configs"
    with pytest.raises(ExportError, match=r"configs has no model_index\.json: download those of diffusers/"):
        expect_config(file, "StableDiffusionXLInpaintPipeline", config)
    (config / "unet").mkdir(parents=True)
    (config / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(ExportError, match="holds the configs of StableDiffusionPipeline"):
        expect_config(file, "StableDiffusionXLInpaintPipeline", config)
    (config / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionXLPipeline"}))
    (config / "unet" / "config.json").write_text(json.dumps({"in_channels": 4}))
    with pytest.raises(ExportError, match=r"takes 9 channels, .* says 4"):
        expect_config(file, "StableDiffusionXLInpaintPipeline", config)
