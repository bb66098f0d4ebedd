"""Weights in every layout that publishers use: one file, shards, variants, both spellings of a variant's index."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from export.errors import BadFolderError
from export.models import COMPONENTS
from export.precision import Precisions
from export.source import open_folder
from export.survey import survey
from export.weight_files import listed, variants, weight_files
from tests.export.test_source import WEIGHTS

PARTS = {"unet": WEIGHTS, "vae": WEIGHTS, "text_encoder": "model.safetensors", "text_encoder_2": "model.safetensors"}


@pytest.fixture
def folder(tiny_pipelines: Path, tmp_path: Path) -> Path:
    """A copy of the first tiny folder."""
    return Path(shutil.copytree(tiny_pipelines / "tiny", tmp_path / "tiny"))


def to_variant(folder: Path, *names: str) -> None:
    """Renames the weights of some components to those of the variant fp16."""
    for name in names:
        path = folder / name / PARTS[name]
        path.rename(path.with_name(PARTS[name].replace(".safetensors", ".fp16.safetensors")))


def shard(folder: Path, name: str, index: str) -> None:
    """Splits weights into two shards of the variant fp16, with an index of this name."""
    path = folder / name / PARTS[name]
    tensors, stem = load_file(path), PARTS[name].removesuffix(".safetensors")
    halves = [dict(list(tensors.items())[part::2]) for part in (0, 1)]
    files = [f"{stem}.fp16-0000{part + 1}-of-00002.safetensors" for part in (0, 1)]
    for file, half in zip(files, halves, strict=True):
        save_file(half, path.with_name(file), metadata={"format": "pt"})
    weight_map = {key: file for file, half in zip(files, halves, strict=True) for key in half}
    path.with_name(index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    path.unlink()


def state(folder: Path, role: str, variant: str | None = None) -> dict[str, torch.Tensor]:
    """The numbers of a component as the export loads it."""
    component, source = COMPONENTS[role], open_folder(folder, variant=variant).sources[role]
    return component.load(source).state_dict()


@pytest.mark.row("variant")
def test_folders_with_variants_only_are_told_once_with_the_flag(folder: Path) -> None:
    to_variant(folder, *PARTS)
    message = (
        r"^text_encoder/, text_encoder_2/, vae/ and unet/ hold only the variant fp16 \(model\.fp16\.safetensors\): "
        r"export with --variant fp16\.$"
    )
    with pytest.raises(BadFolderError, match=message):
        open_folder(folder)
    assert len(survey(folder, Precisions(), "onnxruntime").problems) == 1
    assert survey(folder, Precisions(), "onnxruntime", variant="fp16").problems == ()


def test_files_that_are_missing_are_told_together(folder: Path) -> None:
    for name, file in PARTS.items():
        (folder / name / file).unlink()
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(
        BadFolderError, match=r"^text_encoder/model\.safetensors, .*vae/config\.json, .* are missing\.$"
    ):
        open_folder(folder)
    assert len(survey(folder, Precisions(), "onnxruntime").problems) == 1


def test_pickles_are_told_together(folder: Path) -> None:
    for name in ("unet", "vae"):
        path = folder / name / PARTS[name]
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(BadFolderError, match=r"^vae/ and unet/ hold .*\.bin, a pickle"):
        open_folder(folder)


@pytest.mark.parametrize("index", [f"{WEIGHTS}.index.fp16.json", f"{WEIGHTS.replace('.s', '.fp16.s')}.index.json"])
@pytest.mark.parametrize("name", ["unet", "text_encoder"])
def test_shards_of_a_variant_are_loaded_by_both_spellings(
    folder: Path, tiny_pipeline: Path, name: str, index: str
) -> None:
    role = {"unet": "denoiser", "text_encoder": "text_encoder_l"}[name]
    expected = state(tiny_pipeline, role)
    shard(folder, name, index.replace("diffusion_pytorch_model", PARTS[name].removesuffix(".safetensors")))
    with pytest.raises(BadFolderError, match=rf"{name}/ holds only the variant fp16"):
        open_folder(folder)
    numbers = state(folder, role, "fp16")
    assert numbers.keys() == expected.keys()
    assert all(torch.equal(numbers[key], expected[key]) for key in expected)


@pytest.mark.row("variant")
def test_a_variant_goes_before_the_plain_files_where_there_is_one(folder: Path) -> None:
    path = folder / "vae" / WEIGHTS
    other = {key: value + 1 for key, value in load_file(path).items()}
    save_file(other, path.with_name(WEIGHTS.replace(".s", ".fp16.s")), metadata={"format": "pt"})
    plain, varied = (state(folder, "vae_encoder", variant) for variant in (None, "fp16"))
    assert all(torch.allclose(varied[name], plain[name] + 1, atol=0.01) for name in plain)
    assert open_folder(folder, variant="fp16").sources["denoiser"].weights == (folder / "unet" / WEIGHTS,)
    with pytest.raises(BadFolderError, match=r"tiny/ has no weights of the variant 'bf16': there is fp16"):
        open_folder(folder, variant="bf16")


def test_indexes_that_cannot_be_used_are_refused(folder: Path) -> None:
    path = folder / "unet" / WEIGHTS
    path.unlink()
    index = folder / "unet" / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": []}))
    with pytest.raises(BadFolderError, match=r"index\.json lists no files"):
        open_folder(folder)
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(BadFolderError, match="points outside its folder"):
        weight_files(folder / "unet", WEIGHTS)


def test_the_pointer_of_git_lfs_is_not_taken_for_a_damaged_file(folder: Path) -> None:
    (folder / "unet" / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(BadFolderError, match="git lfs pull"):
        open_folder(folder)


def test_variants_are_known_by_their_names(tmp_path: Path) -> None:
    for name in ("m.safetensors", "m.fp16.safetensors", "m.non_ema.safetensors", "m.bf16-00001-of-00002.safetensors"):
        (tmp_path / name).touch()
    assert set(variants(tmp_path, "m.safetensors")) == {"fp16", "non_ema", "bf16"}
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_a_variant_is_the_same_component_to_the_work_folder(folder: Path, tiny_pipeline: Path) -> None:
    from export.store import key

    plain = open_folder(tiny_pipeline).sources["vae_encoder"]
    to_variant(folder, "vae")
    varied = open_folder(folder, variant="fp16").sources["vae_encoder"]
    assert varied.files.keys() == plain.files.keys()
    assert key(replace(varied, folder=plain.folder), "fp32") == key(plain, "fp32")
