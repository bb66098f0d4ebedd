"""Wide pictures: their tiles are rows of the calls that all requests share, and count as such."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop.contract.expansion import Extent, Margins
from backdrop.contract.geometry import Size
from backdrop.contract.parts import DroppingRound
from backdrop.contract.tiling import tiling_of
from orchestrator.request import Request
from orchestrator.tasks import ALL
from tests.orchestrator.pipeline.bench import Bench
from tests.orchestrator.small import Array, FunctionModels, pipeline_spec, request
from tests.pictures import ellipse_mask, noisy_photo

WIDE = Size(256, 48)
"""The bucket 64 × 48, and half a bucket more for each further tile: 64 + 6 × 32 pixels."""
TILING = tiling_of(WIDE, pipeline_spec().buckets)
TILES = TILING.count


def wide(task: str = "text_to_image", **changes: Any) -> Request:
    """One variant, unless it is changed, on a canvas of four times the bucket's length; a small ellipse is masked."""
    values = {"variants": 1, "top_k": 1, "seed": 7, **changes}
    if task == "text_to_image":
        values = {"size": WIDE, **values}
    elif task == "expand":
        size, margins = Size(WIDE.width, WIDE.height), Margins(56, 0, 40, 0)
        photo = noisy_photo(WIDE.width - 96, WIDE.height)
        values = {"photo": photo, "placement": Extent(margins), "size": size, **values}
    else:
        photo, mask = noisy_photo(WIDE.width, WIDE.height), np.zeros((WIDE.height, WIDE.width), np.uint8)
        mask[:, 104:152] = ellipse_mask(48, 48)
        values = {"photo": photo, "mask": mask, **({"placement": 2} if task == "erase" else {}), **values}
    return request(ALL[task], **values)


class Watched(FunctionModels):
    """Keeps the rows of every denoiser call."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Mapping[str, Array]] = []

    async def __call__(self, model: str, inputs: Mapping[str, Array], **named: Any) -> dict[str, Array]:
        if model == "denoiser":
            self.steps.append(inputs)
        return await super().__call__(model, inputs, **named)


def watched(folder: Path, max_rows: int = 64) -> tuple[Bench, Watched]:
    """A pipeline whose batches have at most so many rows."""
    models = Watched()
    return Bench(folder, models=models, max_rows=max_rows, running=8), models


async def test_all_tiles_of_a_step_are_rows_of_one_call_cut_from_one_sample(tmp_path: Path) -> None:
    bench, models = watched(tmp_path)
    await bench.run(wide(steps=3))
    assert TILES == 7
    assert [len(step["sample"]) for step in models.steps] == [2 * TILES] * 3
    for step in models.steps:
        samples, half = step["sample"], 32 // 8
        assert samples.shape[1:] == (4, 6, 8), "the models see buckets alone"
        for tile in range(TILES - 1):
            assert np.array_equal(samples[tile][..., half:], samples[tile + 1][..., :half]), "one noise canvas"
        assert np.array_equal(samples[:TILES], samples[TILES:]), "the same for both prompts"
        states = step["encoder_hidden_states"]
        assert all(np.array_equal(states[0], states[row]) for row in range(TILES))
        assert not np.array_equal(states[0], states[TILES])
        assert (step["time_ids"] == [48, 64, 0, 0, 48, 64]).all()


async def test_what_is_known_is_cut_for_each_tile(tmp_path: Path) -> None:
    bench, models = watched(tmp_path)
    await bench.run(wide("background", steps=1))
    (step,) = models.steps
    masks, known = step["mask"][:TILES], step["masked_image_latents"][:TILES]
    assert TILING.merge(masks).shape == (1, 6, 32)
    np.testing.assert_allclose(TILING.cut(TILING.merge(masks)), masks, atol=1e-6)
    assert masks[0].min() == 1, "the ellipse is in the middle"
    assert masks[TILES // 2].min() == 0
    assert np.ptp(known[TILES // 2]) > 0
    assert bench.models.rows("vae_encoder") == TILES
    assert bench.models.rows("vae_decoder") == bench.models.rows("reward") == TILES


async def test_calls_of_more_rows_than_a_batch_takes_make_the_same_bytes(tmp_path: Path) -> None:
    whole, _ = watched(tmp_path / "whole")
    pieces, models = watched(tmp_path / "pieces", max_rows=4)
    assert (await whole.run(wide(steps=3))).data == (await pieces.run(wide(steps=3))).data
    assert max(len(step["sample"]) for step in models.steps) <= 4
    assert sum(len(step["sample"]) for step in models.steps) == 3 * 2 * TILES


async def test_batch_mates_change_no_byte(tmp_path: Path) -> None:
    requests = [wide(steps=4), request(steps=4), wide("fill", steps=4), wide(seed=8, steps=4)]
    alone = [(await watched(tmp_path / str(index))[0].run(each)).data for index, each in enumerate(requests)]
    bench, models = watched(tmp_path / "together")
    bench.hold("denoiser", rows=sum(each.usage.row_steps // 4 for each in requests))
    together = await asyncio.gather(*(bench.run(each) for each in requests))
    assert [run.data for run in together] == alone
    assert max(len(step["sample"]) for step in models.steps) > 2 * TILES, "they shared batches"


@pytest.mark.parametrize("task", ["text_to_image", "background", "erase", "fill", "vary", "expand"])
async def test_every_task_makes_wide_pictures(tmp_path: Path, task: str) -> None:
    bench, _ = watched(tmp_path)
    request_ = wide(task, steps=2)
    run = await bench.run(request_)
    with Image.open(io.BytesIO(run.best.data)) as picture:
        assert picture.size == (WIDE.width, WIDE.height)
    if ALL[task].keeps_pixels:
        assert run.receipt.max_difference == 0
        assert run.receipt.compared_pixels > 0
    assert bench.models.rows("denoiser") == request_.usage.row_steps


@pytest.mark.parametrize("pipeline", ["small-text", "small-style", "small-flow", "small-bare"])
async def test_every_kind_of_pipeline_makes_wide_pictures(tmp_path: Path, pipeline: str) -> None:
    bench = Bench(tmp_path)
    run = await bench.run(wide("background", pipeline=pipeline, steps=2))
    assert run.receipt.max_difference == 0


async def test_noise_starts_from_a_wide_picture(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    photo = noisy_photo(WIDE.width, WIDE.height)
    runs = [await bench.run(wide("vary", photo=photo, strength=strength, steps=4)) for strength in (0.25, 1.0)]
    assert runs[0].data != runs[1].data
    assert bench.models.rows("denoiser") == 2 * TILES * (1 + 4)


async def test_cost_counts_the_tiles(tmp_path: Path) -> None:
    one, tiled = request(ALL["text_to_image"], seed=7, size=Size(64, 48), variants=1, top_k=1), wide()
    assert tiled.usage.row_steps == TILES * one.usage.row_steps
    assert tiled.usage.megapixels == pytest.approx(one.usage.megapixels)
    assert one.usage.megapixels == 64 * 48 / 1e6
    assert tiled.work == pytest.approx(TILES * one.work)
    bench = Bench(tmp_path)
    with bench.pipeline.enter(tiled) as entry:
        async for _ in entry.events():
            pass
        assert entry.queued.work == 0, "all of it was charged"


async def test_drafts_are_dropped_as_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    request_ = wide(variants=3, top_k=1, steps=4, dropping=(DroppingRound(1, draft_steps=1),))
    await bench.run(request_)
    assert bench.models.rows("denoiser") == request_.usage.row_steps == TILES * 2 * (3 * 1 + 4)
    assert bench.models.rows("reward") == TILES * (3 + 1)
