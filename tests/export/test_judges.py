"""Reward model and segmenter of another folder: which form fits a pipeline, and that the form is the same network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from export.contract import Size
from export.errors import BadFolderError
from export.models import COMPONENTS
from export.plan import plan_repository
from export.repository import pipeline_entry
from export.source import PipelineFolder, open_folder
from tests.export import families
from tests.export.test_source import edit


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that brings neither: Stable Diffusion 1.5, whose text has no pooled embedding; read only."""
    folder = tmp_path_factory.mktemp("foreign") / "sd15"
    families.write_sd15(folder)
    return folder


def judged(folder: Path, judges: Path) -> PipelineFolder:
    """A folder with the reward model and the segmenter of another one."""
    return open_folder(folder, {"reward": judges, "segmenter": judges})


def test_a_folder_without_judges_is_whole(foreign: Path) -> None:
    folder = open_folder(foreign)
    assert not {"reward", "segmenter"} & set(folder.sources)
    assert folder.reward_heads == ()


def test_judges_come_from_another_folder_without_its_image_adapter(foreign: Path, tiny_pipeline: Path) -> None:
    folder = judged(foreign, tiny_pipeline)
    assert set(folder.sources) == {
        *("text_encoder_l", "vae_encoder", "denoiser", "vae_decoder", "reward", "segmenter"),
    }
    assert folder.sources["denoiser"].adapter is None
    entry = pipeline_entry(plan_repository([folder]), folder)
    assert entry["reward_heads"] == ["defects", "aesthetics"]
    assert entry["text"]["pooled"] == []


def test_a_components_own_folder_will_do(foreign: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline / "reward", tmp_path / "mine")
    (tmp_path / "mine" / "backdrop.json").write_text('{"reward_heads": ["flaws", "words", "looks"]}')
    assert open_folder(foreign, {"reward": tmp_path / "mine"}).reward_heads == ("flaws", "looks")


def test_where_the_width_fits_the_text_is_read(tiny_pipeline: Path, tmp_path: Path) -> None:
    own = judged(tiny_pipeline, tiny_pipeline)
    assert not own.sources["reward"].without_text
    assert own.reward_heads == ("defects", "fidelity", "aesthetics")
    shutil.copytree(tiny_pipeline / "reward", tmp_path / "wide" / "reward")
    edit(tmp_path / "wide" / "reward" / "config.json", text_dim=17)
    assert open_folder(tiny_pipeline, {"reward": tmp_path / "wide"}).sources["reward"].without_text


def test_the_form_without_text_gives_the_same_scores(foreign: Path, tiny_pipeline: Path) -> None:
    component, size = COMPONENTS["reward"], Size(64, 96, 16)
    whole = component.prepare(component.load(open_folder(tiny_pipeline).sources["reward"]))
    blind = component.prepare(component.load(judged(foreign, tiny_pipeline).sources["reward"]))
    assert [spec.name for spec in blind.inputs] == ["image", "mask"]
    assert blind.outputs[0].dims == (2,)
    inputs = whole.sample(3, size, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(blind.module(*inputs[:2]), whole.module(*inputs)[:, [0, 2]])


def test_what_holds_no_judge_is_refused(foreign: Path, tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFolderError, match=r"--reward .*expected a folder with reward/.* class RewardModel"):
        open_folder(foreign, {"reward": tiny_pipeline / "unet"})
    (tmp_path / "pipeline.json").write_text("{}")
    with pytest.raises(BadFolderError, match=r"--segmenter .*it is a Triton repository: give the folder"):
        open_folder(foreign, {"segmenter": tmp_path})
