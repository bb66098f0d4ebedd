"""Upscale: a larger picture that keeps what it shows, its alpha channel too; nothing is sampled, nothing scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop import AsyncClient, InvalidRequestError, Reason, Stage, StageStarted, Upscale, WarningReason
from tests.contract.photos import HEIGHT, PHOTO, PRODUCT, SOFT_MASK, WIDTH, default_of, pixels, rgba
from tests.pictures import encoded

SMOOTH = np.asarray(Image.fromarray(PHOTO).resize((12, 8)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


@pytest.fixture(autouse=True)
async def _upscaler(client: AsyncClient) -> None:
    if not default_of(await client.info()).upscale_factors:
        pytest.skip("the repository has no upscaler")


def shrunk(picture: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The picture at the size of the one that was sent."""
    return np.asarray(Image.fromarray(picture).resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.int16)


@pytest.mark.parametrize("factor", [None, 2, 4])
async def test_the_larger_picture_shows_the_same(client: AsyncClient, factor: int | None) -> None:
    result = await client.generate(Upscale(encoded(SMOOTH), factor))
    picture = pixels(result.best)
    assert picture.shape == ((factor or 2) * HEIGHT, (factor or 2) * WIDTH, 3)
    assert np.abs(shrunk(picture) - SMOOTH).mean() < 3
    assert result.best.receipt is None
    assert result.settings.output_size == picture.shape[1::-1]


async def test_no_step_is_taken_and_nothing_is_scored(client: AsyncClient) -> None:
    generation = client.generate(Upscale(PRODUCT))
    stages = [event.stage async for event in generation if isinstance(event, StageStarted)]
    assert stages == [Stage.PREPARE, Stage.SELECT]
    result = await generation
    assert result.best.scores is None
    assert (result.usage.row_steps, result.settings.task, len(result.pictures)) == (0, "upscale", 1)


async def test_an_alpha_channel_is_enlarged_too(client: AsyncClient) -> None:
    result = await client.generate(Upscale(rgba(SMOOTH, SOFT_MASK)))
    image = result.best.image()
    assert (image.mode, image.size, result.warnings) == ("RGBA", (2 * WIDTH, 2 * HEIGHT), ())
    larger = np.asarray(image)
    assert np.abs(shrunk(larger[..., 3]) - SOFT_MASK).mean() < 3
    visible = SOFT_MASK == 255
    assert np.abs(shrunk(np.ascontiguousarray(larger[..., :3]))[visible] - SMOOTH[visible]).mean() < 3


async def test_a_jpeg_has_no_alpha_channel_and_the_caller_is_told(client: AsyncClient) -> None:
    result = await client.generate(Upscale(rgba(SMOOTH, SOFT_MASK)), output_format="jpeg")
    assert result.best.image().mode == "RGB"
    assert [(each.reason, each.field) for each in result.warnings] == [(WarningReason.ALPHA_IGNORED, "upscale.picture")]


async def test_the_same_request_makes_the_same_bytes(client: AsyncClient) -> None:
    first, second = [await client.generate(Upscale(PRODUCT, 4)) for _ in range(2)]
    assert first.best.data == second.best.data


async def test_info_says_which_factors_there_are(client: AsyncClient) -> None:
    pipeline = default_of(await client.info())
    assert (pipeline.upscale_factors, "upscale" in pipeline.tasks) == ((2, 4), True)


@pytest.mark.parametrize(
    ("task", "options", "reason", "field"),
    [
        (Upscale(PRODUCT), {"prompt": "a beach"}, Reason.FIELD_NOT_TAKEN, "conditioning.prompt"),
        (Upscale(PRODUCT), {"output_size": (128, 128)}, Reason.FIELD_NOT_TAKEN, "delivery.size"),
        (Upscale(PRODUCT), {"variants": 2}, Reason.FIELD_NOT_TAKEN, "selection.variants"),
        (Upscale(PRODUCT, 3), {}, Reason.OUT_OF_RANGE, "upscale.factor"),
        (Upscale(encoded(np.zeros((2048, 2048, 3), np.uint8)), 4), {}, Reason.INVALID_SIZE, "upscale.factor"),
        (Upscale(b"no picture"), {}, Reason.INVALID_PICTURE, "upscale.picture"),
    ],
)
async def test_what_it_does_not_take_is_refused(
    client: AsyncClient, task: Upscale, options: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **options)
    assert (caught.value.reason, caught.value.field) == (reason, field)
