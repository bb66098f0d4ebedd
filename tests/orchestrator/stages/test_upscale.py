"""Upscale: tiles without seams, at every size and factor; colours and alpha apart; Lanczos without an upscaler."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backdrop.contract.geometry import Rect, Size
from orchestrator.arrays import Bytes
from orchestrator.imaging.finish import resample
from orchestrator.repository import TILE_CORE, UPSCALER
from orchestrator.stages.models import Models
from orchestrator.stages.upscale import enlarged, upscale
from tests.orchestrator.small import FunctionModels, pipeline_spec, upscaled, upscaler_spec
from tests.pictures import noisy_photo


def models(own: int = 2) -> tuple[Models, FunctionModels]:
    """A pipeline whose upscaler has the factor `own`."""
    spec, functions = pipeline_spec("small-large"), FunctionModels()
    functions.factor = own
    spec = dataclasses.replace(spec, models={**spec.models, UPSCALER: upscaler_spec(own)})
    return Models(spec, functions, "0" * 32), functions


def whole(picture: Bytes, factor: int) -> Bytes:
    """What the small upscaler makes of the whole picture, which continues with its last pixels."""
    padded = np.pad(picture, ((2, 2), (2, 2), (0, 0)), "edge").transpose(2, 0, 1)[None].astype(np.float32) / 255
    inside = upscaled(padded, factor)[0, :, 2 * factor : -2 * factor, 2 * factor : -2 * factor]
    pixels: Bytes = np.rint(inside.clip(0, 1) * 255).astype(np.uint8)
    return pixels.transpose(1, 2, 0)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (127, 1), (128, 129), (700, 65)])
async def test_tiles_leave_no_seams(width: int, height: int) -> None:
    picture, (pipeline, functions) = noisy_photo(width, height), models()
    assert (await upscale(picture, 2, pipeline) == whole(picture, 2)).all()
    assert functions.rows(UPSCALER) == -(-width // TILE_CORE) * -(-height // TILE_CORE)
    assert max(rows for _, rows in functions.calls) <= 4


async def test_the_factor_is_reached_in_passes_or_by_means() -> None:
    picture, (twice, _), (fourfold, functions) = noisy_photo(40, 30), models(2), models(4)
    assert (await upscale(picture, 4, twice) == whole(whole(picture, 2), 2)).all()
    assert (await upscale(picture, 4, fourfold) == whole(picture, 4)).all()
    # The small upscaler repeats its pixels, so the mean of four of them is one of them.
    assert (await upscale(picture, 2, fourfold) == whole(picture, 2)).all()
    assert functions.rows(UPSCALER) == 2


async def test_alpha_is_enlarged_apart_from_the_colours() -> None:
    picture, (pipeline, _) = noisy_photo(40, 30), models()
    alpha = noisy_photo(40, 30, seed=1)[..., 0]
    both = await upscale(np.dstack([picture, alpha]), 2, pipeline)
    assert (both[..., :3] == whole(picture, 2)).all()
    assert (both[..., 3] == whole(np.dstack([alpha] * 3), 2)[..., 0]).all()


@pytest.mark.parametrize(
    ("size", "rows"),
    [(Size(80, 60), 0), (Size(60, 60), 0), (Size(90, 60), 1), (Size(320, 240), 3), (Size(900, 700), 3)],
)
async def test_scenes_are_enlarged_to_any_size(size: Size, rows: int) -> None:
    scene, (pipeline, functions) = noisy_photo(100, 60), models()
    picture = await enlarged(scene, Rect(10, 0, 80, 60), size, pipeline)
    assert picture.shape == (size.height, size.width, 3)
    assert functions.rows(UPSCALER) == rows


@pytest.mark.parametrize(("own", "rows"), [(2, 1), (4, 1)])
async def test_a_scene_passes_the_upscaler_once(own: int, rows: int) -> None:
    scene, (pipeline, functions) = noisy_photo(100, 60), models(own)
    picture = await enlarged(scene, Rect(10, 0, 80, 60), Size(320, 240), pipeline, once=True)
    larger = whole(scene[:, 10:90], own)
    assert (picture == resample(larger, Rect(0, 0, 80 * own, 60 * own), Size(320, 240))).all()
    assert functions.rows(UPSCALER) == rows


async def test_an_exact_multiple_is_the_upscalers_own_picture() -> None:
    scene, (pipeline, _) = noisy_photo(100, 60), models()
    picture = await enlarged(scene, Rect(10, 0, 80, 60), Size(160, 120), pipeline)
    assert (picture == whole(scene[:, 10:90], 2)).all()


async def test_without_an_upscaler_lanczos_enlarges() -> None:
    scene, part, size = noisy_photo(100, 60), Rect(10, 0, 80, 60), Size(160, 120)
    functions = FunctionModels()
    picture = await enlarged(scene, part, size, Models(pipeline_spec("small"), functions, "0" * 32))
    assert (picture == resample(scene, part, size)).all()
    assert functions.calls == []


async def test_a_scene_of_its_size_stays_as_it_is() -> None:
    scene, (pipeline, _) = noisy_photo(100, 60), models()
    assert await enlarged(scene, Rect(0, 0, 100, 60), Size(100, 60), pipeline) is scene
