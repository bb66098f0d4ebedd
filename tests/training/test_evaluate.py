"""The finished folder: written whole, read back, and able to make pictures and figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from training import evaluate
from training.assemble import manifest, random_parts, write
from training.config import HELD_OUT_SEED, REWARD_HEADS, Config
from training.figures import Figure, update
from training.generate import Pipeline
from training.world.labels import SCENES


@pytest.fixture(scope="module")
def folder(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete folder of tiny random networks."""
    out = tmp_path_factory.mktemp("weights") / "backdrop"
    preview: dict[str, object] = {"factors": [[0.0] * 3] * 4, "bias": [0.5] * 3}
    write(out, tiny, random_parts(tiny), manifest(tiny, preview, {"denoiser": 2}, "nothing"))
    return out


def test_the_folder_has_diffusers_layout(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionXLInpaintPipeline"
    assert all((folder / name).is_dir() for name, value in index.items() if isinstance(value, list))
    assert not list(folder.parent.glob("*.staging"))


def test_backdrop_json_says_what_diffusers_has_no_place_for(folder: Path) -> None:
    record = json.loads((folder / "backdrop.json").read_text())
    assert record["reward_heads"] == list(REWARD_HEADS)
    assert [256, 256] in record["buckets"]
    assert record["defaults"]["scheduler"] == "dpmpp_2m"
    assert record["provenance"]["stages"] == {"denoiser": 2}


@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 96)])
def test_the_same_seed_makes_the_same_picture(folder: Path, height: int, width: int) -> None:
    pipeline = Pipeline.load(folder)
    image, mask = torch.zeros(1, 3, height, width), torch.ones(1, 1, height, width)
    one, two = (pipeline.make(["a beach"], image, mask, seed=4, steps=2) for _ in range(2))
    assert one.shape == image.shape
    assert torch.equal(one, two)
    assert not torch.equal(one, pipeline.make(["a beach"], image, mask, seed=5, steps=2))


def test_prompts_are_held_out_and_cover_every_scene() -> None:
    pairs = evaluate.prompts_for(16)
    assert [scene for scene, _ in pairs] == list(SCENES) * 2
    held = evaluate.held_pictures(2)
    assert all(row["seed"] >= HELD_OUT_SEED for row in held.rows)


def test_figures_replace_rows_of_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    update(path, [Figure("a", 1.0, 0.5, "higher", 0.0), Figure("b", 2.0, 3.0, "lower", 0.1)], "first")
    update(path, [Figure("a", 4.0, 0.5, "higher", 0.0)], "second")
    rows = json.loads(path.read_text())
    assert [(row["name"], row["value"], row["command"]) for row in rows] == [("a", 4.0, "second"), ("b", 2.0, "first")]
    assert set(rows[0]) == {"name", "value", "mark", "better", "spread", "command", "commit", "machine"}


def test_the_contact_sheet_shows_every_picture(tmp_path: Path) -> None:
    made = torch.zeros(3, 3, 32, 32)
    evaluate.sheet(tmp_path / "sheet.png", made, made, torch.ones(3, 1, 32, 32), [("beach", "a beach")] * 3, across=2)
    assert (tmp_path / "sheet.png").stat().st_size > 100
