"""Which models a repository gets: what is shared is exported once, what is a pipeline's own has a name of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from export.errors import BadFolderError
from export.plan import plan_repository
from export.source import PipelineFolder, open_folder

NAMES = ("tiny", "tiny-fast", "tiny-dit")


@pytest.fixture(scope="module")
def folders(tiny_pipelines: Path) -> list[PipelineFolder]:
    """All tiny pipelines."""
    return [open_folder(tiny_pipelines / name) for name in NAMES]


def test_every_component_is_exported_once(folders: list[PipelineFolder]) -> None:
    plan = plan_repository(folders)
    assert plan.default == "tiny"
    assert {name for name, model in plan.models.items() if model.role == "denoiser"} == {
        *("denoiser", "denoiser_fast", "denoiser_dit"),
    }
    assert set(plan.models) == {*folders[0].sources, "denoiser_fast", "denoiser_dit", "text_encoder_t5"}
    users = {name: [folder.name for folder in model.pipelines] for name, model in plan.models.items()}
    assert users["vae_encoder"] == list(NAMES)
    assert users["text_encoder_l"] == users["image_projector"] == ["tiny", "tiny-fast"]
    assert users["denoiser_fast"] == ["tiny-fast"]


def test_a_pipelines_components_are_its_own_or_shared(folders: list[PipelineFolder]) -> None:
    plan = plan_repository(folders)
    tiny, fast, dit = (plan.components(folder) for folder in folders)
    assert tiny == {role: role for role in folders[0].sources}
    assert fast == tiny | {"denoiser": "denoiser_fast"}
    assert dit["denoiser"] == "denoiser_dit"
    assert "image_projector" not in dit
    assert "text_encoder_l" not in dit


def test_a_pipeline_alone_has_plain_names(folders: list[PipelineFolder]) -> None:
    plan = plan_repository([folders[1]])
    assert plan.components(folders[1])["denoiser"] == "denoiser"
    assert plan.default == "tiny-fast"


def test_the_default_can_be_another_without_changing_names(folders: list[PipelineFolder]) -> None:
    plan = plan_repository(folders, "tiny-dit")
    assert plan.default == "tiny-dit"
    assert plan.components(folders[0])["denoiser"] == "denoiser"
    with pytest.raises(BadFolderError, match="no pipeline 'tiny-slow' to be the default; there are tiny, tiny-fast"):
        plan_repository(folders, "tiny-slow")


def test_two_pipelines_of_one_name_are_refused(folders: list[PipelineFolder]) -> None:
    with pytest.raises(BadFolderError, match="Two folders are called tiny"):
        plan_repository([folders[0], folders[0]])


def test_two_pipelines_of_one_suffix_are_refused(tiny_pipelines: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_pipelines, tmp_path / "copy"))
    (copy / "tiny-fast").rename(copy / "dit")
    plain = [open_folder(copy / name) for name in ("tiny", "tiny-dit", "dit")]
    with pytest.raises(BadFolderError, match="dit and another pipeline would both bring denoiser_dit"):
        plan_repository(plain)
