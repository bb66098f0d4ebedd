"""A rehearsal: what every component is given, and that what was recorded is kept and read back whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.plan import plan_repository
from export.rehearsal import walks
from export.rehearsal.examples import drawn
from export.rehearsal.recording import MOST_CALLS, Recording, Rehearsal, RehearsalConfig, read, thinned, write
from export.source import open_folder
from export.store import Store
from tests.export.tiny import EXPORT_TIMEOUT_S

pytestmark = pytest.mark.timeout(EXPORT_TIMEOUT_S)
BATCH = {"tiny": 2, "tiny-dit": 2, "tiny-fast": 1}
"""Rows of a denoiser's call: guided ones are two."""


def quiet(name: str, what: str) -> None:
    """Nobody is told anything."""


def rehearsal(folder: Path, work: Path | None, steps: int = 3) -> Rehearsal:
    """A pipeline's rehearsal of one example."""
    opened = open_folder(folder)
    config = RehearsalConfig(steps, drawn()[:1])
    return Rehearsal(plan_repository([opened]), opened, config, None if work is None else Store(work), quiet)


@pytest.mark.parametrize("name", list(BATCH))
def test_every_component_is_given_what_it_takes(name: str, tiny_pipelines: Path) -> None:
    one_rehearsal = rehearsal(tiny_pipelines / name, None)
    calls = one_rehearsal.recording.calls
    assert set(calls) == set(one_rehearsal.models)
    assert len(calls["denoiser"]) == 3
    first, last = calls["denoiser"][0], calls["denoiser"][-1]
    assert first["sample"].shape == (BATCH[name], 4, 8, 8)
    assert first["timestep"][0, 0] > last["timestep"][0, 0]
    assert not np.array_equal(first["sample"], last["sample"])
    assert np.array_equal(first["masked_image_latents"], last["masked_image_latents"])
    assert set(np.unique(first["mask"])) == {0.0, 1.0}, "cut at one half: the folder's convention is diffusers'"
    (picture,) = one_rehearsal.recording.pictures
    assert picture.shape == (64, 64, 3)
    assert picture.std() > 1


def test_the_upscaler_is_given_a_tile_of_the_picture(tiny_pipelines: Path) -> None:
    one_rehearsal = rehearsal(tiny_pipelines / "tiny", None, steps=1)
    (call,) = one_rehearsal.recording.calls["upscaler"]
    (picture,) = one_rehearsal.recording.pictures
    # The picture of 64 × 64 is smaller than a tile: it lies in the middle, and its last pixels go on around it.
    side = call["image"].shape[-1]
    inset = (side - 64) // 2
    tile = np.rint(call["image"][0].transpose(1, 2, 0) * 255)
    inside = tile[inset : inset + 64, inset : inset + 64]
    assert np.abs(inside - picture).max() <= 1
    assert np.array_equal(tile[:inset, inset : inset + 64], inside[:1].repeat(inset, axis=0))


def test_a_style_goes_with_the_prompt_alone(tiny_pipelines: Path) -> None:
    call = rehearsal(tiny_pipelines / "tiny", None, steps=1).recording.calls["denoiser"][0]
    assert np.abs(call["image_tokens"][0]).max() > 0
    assert not call["image_tokens"][1].any()
    assert call["image_scale"].tolist() == [[1.0], [0.0]]
    assert not np.array_equal(call["encoder_hidden_states"][0], call["encoder_hidden_states"][1])


def test_a_rehearsal_is_made_once_and_read_back_whole(
    tiny_pipelines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rehearsal(tiny_pipelines / "tiny", tmp_path).recording
    monkeypatch.setattr(walks, "walk_examples", None)
    again = rehearsal(tiny_pipelines / "tiny", tmp_path).recording
    assert all(np.array_equal(one, other) for one, other in zip(first.pictures, again.pictures, strict=True))
    for role, calls in first.calls.items():
        for one, other in zip(calls, again.calls[role], strict=True):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[name], other[name]) for name in one)
    (kept,) = (tmp_path / "rehearsals").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(TypeError):
        _ = rehearsal(tiny_pipelines / "tiny", tmp_path).recording
    with pytest.raises(TypeError):
        _ = rehearsal(tiny_pipelines / "tiny", tmp_path, steps=4).recording


def test_what_is_kept_does_not_depend_on_how_it_lies_in_memory(tmp_path: Path) -> None:
    turned = np.arange(24, dtype=np.uint8).reshape(3, 2, 4).transpose(1, 2, 0)
    write(tmp_path / "a.safetensors", Recording({"vae_encoder": [{"image": turned.astype(np.float32)}]}, (turned,)))
    one_rehearsal = read(tmp_path / "a.safetensors")
    assert one_rehearsal is not None
    assert np.array_equal(one_rehearsal.pictures[0], turned)
    assert np.array_equal(one_rehearsal.calls["vae_encoder"][0]["image"], turned)
    assert read(tmp_path / "b.safetensors") is None


def test_calls_are_thinned_evenly() -> None:
    calls: list[dict[str, Any]] = [{"number": np.array(number)} for number in range(16)]
    kept = [int(call["number"]) for call in thinned(calls)]
    assert kept == [0, 3, 6, 9, 12, 15]
    assert len(kept) == MOST_CALLS
    assert thinned(calls[:2]) == calls[:2]
