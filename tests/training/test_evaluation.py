"""The arithmetic of the figures: exact values by hand, random ones within their spread."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.config import HELD_OUT_SEED
from training.encoders.vae import border_band
from training.evaluation import best_of, detail, held_out, scenes
from training.evaluation.figures import Figure, update
from training.evaluation.sheets import page
from training.evaluation.statistics import bootstrap, kid, permutation_p, wilson
from training.evaluation.style import style_specs, taken_over
from training.world.captions import says, styleless_prompt
from training.world.labels import PALETTES, SCENES, TIMES
from training.world.phrases import PALETTE_WORDS, TIME_WORDS


def test_prompts_are_held_out_and_cover_every_scene() -> None:
    assert [prompt.scene for prompt in held_out.prompts(2 * len(SCENES))] == list(SCENES) * 2
    assert all(row["seed"] >= HELD_OUT_SEED for row in held_out.pictures(2).rows)


def test_style_pictures_take_palettes_and_times_in_turn_where_time_is_seen() -> None:
    specs = style_specs(24)
    assert {(spec.palette, spec.time) for spec in specs} == {(p, t) for p in PALETTES for t in TIMES}
    assert all(says(spec)["time"] and spec.seed >= HELD_OUT_SEED for spec in specs)


def test_styleless_prompts_say_nothing_of_palette_or_time() -> None:
    tables = (*PALETTE_WORDS.values(), *TIME_WORDS.values())
    words = {phrase for options in tables for phrase in options if phrase}
    for spec in held_out.specs(40):
        text = styleless_prompt(spec, np.random.default_rng(spec.seed))
        assert not any(phrase in text for phrase in words), text


def test_half_a_point_for_palette_and_half_for_time() -> None:
    specs = style_specs(2)
    seen = {"palette": [specs[0].palette, "none"], "time": [specs[0].time, specs[1].time]}
    assert taken_over(seen, specs, "test") == [1.0, 0.5]


def test_wilson_is_not_zero_where_all_succeed() -> None:
    assert 0.03 < wilson(1.0, 50) < 0.04
    assert wilson(0.5, 100) == pytest.approx(0.096, abs=0.002)


def test_permutation_tells_a_gain_from_chance() -> None:
    rng = np.random.default_rng(1)
    assert permutation_p(list(rng.normal(1.0, 0.5, 16))) < 0.001
    assert permutation_p(list(rng.normal(0.0, 0.5, 16))) > 0.05
    assert bootstrap([1.0] * 8) == 0.0


def test_kid_is_near_zero_within_a_distribution_and_large_between() -> None:
    rng = np.random.default_rng(2)
    one, same, other = rng.normal(size=(200, 16)), rng.normal(size=(200, 16)), rng.normal(1.0, 1.0, size=(200, 16))
    floor, spread = kid(one, same)
    assert abs(floor) < 2 * spread
    assert kid(one, other)[0] > 20 * spread


def test_the_border_band_is_the_border_alone() -> None:
    mask = torch.ones(1, 1, 32, 32)
    mask[..., 10:22, 10:22] = 0
    band = border_band(mask, reach=2)
    assert band[0, 0, 16, 10] == band[0, 0, 16, 9] == 1
    assert band[0, 0, 16, 16] == band[0, 0, 2, 2] == 0
    assert border_band(torch.ones(1, 1, 8, 8)).sum() == 0


def test_figures_replace_rows_of_the_same_name_and_reported_ones_stand_apart(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    update(path, [Figure("a", 1.0, 0.5, "higher", 0.0), Figure("b", 4.0, 3.0, "lower", 0.1, "too short")], "first")
    update(path, [Figure("a", 4.0, 0.5, "higher", 0.0), Figure("c", 1.0, None, "higher", 0.0)], "second")
    rows = json.loads(path.read_text())
    assert [(row["name"], row["value"], row["command"]) for row in rows] == [("a", 4.0, "second"), ("b", 4.0, "first")]
    assert set(rows[0]) == {"name", "value", "mark", "better", "spread", "command", "commit", "machine"}
    assert rows[1]["why"] == "too short"
    assert [row["name"] for row in json.loads((tmp_path / "models_detail.json").read_text())] == ["c"]


def test_a_row_that_gets_a_mark_leaves_the_reported_ones(tmp_path: Path) -> None:
    path, detail = tmp_path / "models.json", tmp_path / "models_detail.json"
    update(path, [Figure("a", 1.0, None, "higher", 0.0), Figure("b", 1.0, None, "higher", 0.0)], "first")
    update(path, [Figure("a", 1.0, 0.5, "higher", 0.0)], "second")
    assert [row["name"] for row in json.loads(path.read_text())] == ["a"]
    assert [row["name"] for row in json.loads(detail.read_text())] == ["b"]


def test_only_what_a_prompt_names_is_judged() -> None:
    prompts = [
        held_out.Prompt("a beach at night", {"scene": "beach", "time": "night"}),
        held_out.Prompt("a city in the rain", {"scene": "city", "weather": "rain"}),
    ]
    seen = {
        "scene": ["beach", "market"],
        "time": ["night", "day"],
        "weather": ["clear", "rain"],
        "palette": ["teal", "mono"],
    }
    right = scenes.recognised(prompts, seen)
    assert right == {"scene": [True, False], "time": [True], "weather": [True], "palette": []}


def test_prompts_know_what_they_name() -> None:
    for prompt, spec in zip(held_out.prompts(40), held_out.specs(40), strict=True):
        assert prompt.named["scene"] == spec.scene
        if "palette" in prompt.named:
            assert any(words in prompt.text for words in PALETTE_WORDS[spec.palette] if words)
    assert {name for prompt in held_out.prompts(40) for name in prompt.named} >= set(scenes.JUDGED)


def test_a_sheet_has_a_row_for_each_label() -> None:
    picture = torch.zeros(3, 3, 16, 16)
    sheet = page([("one", picture), ("two", picture)], ["a", "b", "c"], side=20)
    assert sheet.size == (110 + 3 * 24, 2 * 24 + 26)


def test_the_top_by_score_is_held_against_the_whole_pool() -> None:
    scores, quality = torch.tensor([0.1, 0.9, 0.8, 0.2]), torch.tensor([0.0, 1.0, 0.5, 0.5])
    assert best_of.gains([scores, -scores], [quality, quality]) == pytest.approx([0.25, -0.25])


def test_psnr_is_that_of_the_definition() -> None:
    real = torch.zeros(2, 3, 8, 8)
    decoded = torch.stack([real[0] + 0.02, real[1] + 0.2])
    assert detail.psnr(decoded, real).tolist() == pytest.approx([40.0, 20.0], abs=0.01)


def test_block_energy_finds_the_grid_of_a_decoder_and_no_other() -> None:
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(2, 3, 64, 64, generator=generator).cumsum(2).cumsum(3) / 64
    plain = detail.block_energy(smooth)
    assert ((plain > 0.8) & (plain < 1.25)).all()
    steps = torch.arange(64) // 8 % 2 * 1.0
    assert (detail.block_energy(smooth + steps) > 1.5 * plain).all()
    assert (detail.block_energy(smooth + steps.roll(3)) < 1.1 * plain).all()


def test_blur_takes_the_finest_octave() -> None:
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    assert (detail.finest_octave(soft) < 0.3 * detail.finest_octave(noise)).all()
