"""What a folder's models were trained with: diffusers' conventions and defaults, unless its settings name others."""

from __future__ import annotations

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from export.conventions import OURS
from export.errors import BadFolderError
from export.pipeline_classes import CLASSES
from export.preprocess import CLIP_MEAN, CLIP_STD, ClipPreprocess, read_preprocess
from export.source import PipelineFolder, open_folder
from tests.conftest import ROOT
from tests.export import families, tiny

DIFFUSERS = {
    "latent_mask": "nearest",
    "empty_negative": "encode",
    "unconditional_image": "off",
    "hole_colours": "decoded",
}


@pytest.fixture(scope="module")
def sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion 3 at reduced width; copy it before changing it."""
    folder = tmp_path_factory.mktemp("families") / "sd3"
    families.write_sd3(folder)
    return folder


def with_files(folder: Path, target: Path, **files: dict[str, Any]) -> PipelineFolder:
    """A copy of a folder with JSON files added."""
    copy = Path(shutil.copytree(folder, target / folder.name))
    for name, content in files.items():
        (copy / f"{name}.json").write_text(json.dumps(content))
    return open_folder(copy)


def test_defaults_are_those_of_diffusers_calls() -> None:
    import diffusers

    for name, cls in CLASSES.items():
        call = inspect.signature(getattr(diffusers, name).__call__).parameters
        assert (cls.steps, cls.guidance_scale) == (
            call["num_inference_steps"].default,
            call["guidance_scale"].default,
        )
        zeros = inspect.signature(getattr(diffusers, name).__init__).parameters.get("force_zeros_for_empty_prompt")
        assert cls.zeros == (zeros is not None and zeros.default)


@pytest.mark.parametrize("name", ["backdrop", "backdrop-fast", "backdrop-dit"])
def test_our_folders_name_ours_and_the_shipped_repository_has_them(name: str) -> None:
    folder = open_folder(ROOT / "training" / "weights" / name)
    shipped = json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())["pipelines"][name]
    assert folder.conventions == OURS == shipped["conventions"]
    assert folder.settings["defaults"] == shipped["defaults"]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({}, "zeros"),
        ({"_class_name": "StableDiffusionXLInpaintPipeline"}, "zeros"),
        ({"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": False}, "encode"),
        ({"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}, "zeros"),
    ],
)
def test_sdxl_says_what_stands_for_an_empty_negative_prompt(
    index: dict[str, Any], expected: str, tiny_pipelines: Path, tmp_path: Path
) -> None:
    folder = with_files(tiny_pipelines / "tiny", tmp_path, model_index=index)
    assert folder.conventions == DIFFUSERS | {"empty_negative": expected}


def test_other_families_encode_it(sd3: Path) -> None:
    assert open_folder(sd3).conventions == DIFFUSERS


def test_defaults_follow_the_class_and_the_scheduler(sd3: Path, tiny_pipelines: Path, tmp_path: Path) -> None:
    assert open_folder(sd3).settings["defaults"] == {"scheduler": "flow_euler", "steps": 28, "guidance_scale": 7.0}
    defaults = open_folder(tiny_pipelines / "tiny").settings["defaults"]
    assert defaults == {"scheduler": "ddim", "steps": 50, "guidance_scale": 7.5, "image_scale": 1.0}
    named = with_files(sd3, tmp_path, model_index={"_class_name": "StableDiffusion3InpaintPipeline"})
    assert named.settings["defaults"]["steps"] == 50


def test_settings_may_name_conventions(sd3: Path, tmp_path: Path) -> None:
    folder = with_files(sd3, tmp_path, backdrop={"conventions": {"latent_mask": "area"}})
    assert folder.conventions == DIFFUSERS | {"latent_mask": "area"}


@pytest.mark.parametrize(
    ("conventions", "message"),
    [
        ({"latent_masks": "area"}, r"conventions\.latent_masks cannot be set; there are latent_mask, "),
        ({"latent_mask": "bilinear"}, r"conventions\.latent_mask is 'bilinear'; it is one of area, nearest"),
    ],
)
def test_unknown_conventions_are_refused(conventions: dict[str, str], message: str, sd3: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFolderError, match=message):
        with_files(sd3, tmp_path, backdrop={"conventions": conventions})


def test_a_variant_has_the_conventions_of_what_it_shares(tiny_pipelines: Path, tmp_path: Path) -> None:
    with_files(tiny_pipelines / "tiny", tmp_path, backdrop={"buckets": tiny.BUCKETS, "conventions": dict(OURS)})
    variant = with_files(tiny_pipelines / "tiny-fast", tmp_path)
    assert variant.conventions == OURS
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "tiny", other / "tiny")
    named = with_files(tiny_pipelines / "tiny-fast", other, model_index={"_class_name": "StableDiffusionXLPipeline"})
    assert named.conventions["latent_mask"] == "nearest", "a folder that names its class is somebody else's"


def processor(folder: Path, **settings: Any) -> ClipPreprocess:
    """The preprocessing that a feature extractor with these settings describes, of an encoder that reads 224."""
    folder.mkdir()
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return read_preprocess(folder, {"image_size": 224})


def test_preprocessing_is_the_feature_extractors(tmp_path: Path) -> None:
    assert read_preprocess(None, {"image_size": 32}) == ClipPreprocess(32, 32, CLIP_MEAN, CLIP_STD)
    assert processor(tmp_path / "numbers", size=256, crop_size=224) == ClipPreprocess(256, 224)
    sides = {"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}
    own = processor(tmp_path / "sides", **sides, image_mean=[0.5] * 3, image_std=[0.25] * 3, resample=3)
    assert own == ClipPreprocess(224, 224, (0.5,) * 3, (0.25,) * 3)
    assert own.convention == {"resize": 224, "crop": 224}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resample": 1}, "sets resample to 1; only 3"),
        ({"do_center_crop": False}, "sets do_center_crop to False"),
        ({"crop_size": 336, "size": 336}, r"pictures of 336 pixels; image_encoder/ reads 224"),
        ({"size": {"height": 224, "width": 224}}, "size is .*; a number, or one shortest_edge"),
        ({"crop_size": {"height": 224, "width": 336}}, "crop_size is .*; a number, or one height"),
    ],
)
def test_another_preprocessing_is_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadFolderError, match=message):
        processor(tmp_path / "extractor", **settings)
