"""Palettes: the made pixels follow the colours, each of them; known pixels stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import AsyncClient, Background, InvalidRequestError, Reason, TextToImage, Vary
from tests.contract.photos import HARD_MASK, MASK, PHOTO, PRODUCT, TASK, Bytes, pixels, receipt_of

OPTIONS: dict[str, Any] = {"prompt": "on a table", "steps": 4, "guidance_scale": 1.0, "seed": 3}
PALETTE = ["#0b3954", "BFD7EA", "#f66"]
COLOURS = np.array([[11, 57, 84], [191, 215, 234], [255, 102, 102]])


def distances(picture: Bytes, colours: np.ndarray[Any, np.dtype[np.int64]] = COLOURS) -> tuple[float, float]:
    """Mean distance from each pixel [n, 3] to the nearest colour, and from each colour to its nearest tenth of them."""
    apart = np.abs(picture.reshape(-1, 1, 3).astype(int) - colours).mean(axis=2)
    nearest = np.sort(apart, axis=0)[: max(1, len(apart) // 10)]
    return float(apart.min(axis=1).mean()), float(nearest.mean())


async def test_the_scene_follows_every_colour_and_the_product_stays(client: AsyncClient) -> None:
    without = await client.generate(TASK, **OPTIONS)
    result = await client.generate(TASK, **OPTIONS, palette=PALETTE)
    picture, scene = pixels(result.best), HARD_MASK == 0
    assert np.array_equal(picture[HARD_MASK == 255], PHOTO[HARD_MASK == 255])
    assert receipt_of(result.best).max_difference == 0
    assert result.settings.palette == ("#0b3954", "#bfd7ea", "#ff6666")
    assert not without.settings.palette
    for near, plain in zip(distances(picture[scene]), distances(pixels(without.best)[scene]), strict=True):
        assert near < plain


async def test_other_tasks_follow_a_palette_too(client: AsyncClient) -> None:
    for task in (TextToImage(), Vary(PRODUCT, 0.6), Vary(PRODUCT, 0.0)):
        plain = pixels((await client.generate(task, **OPTIONS)).best)
        near = pixels((await client.generate(task, **OPTIONS, palette=PALETTE)).best)
        assert sum(distances(near)) < sum(distances(plain))


async def test_one_colour_is_a_palette_and_seeds_hold(client: AsyncClient) -> None:
    together = await client.generate(TASK, **OPTIONS, palette=["#2a9d8f"], variants=2)
    for picture in together.pictures:
        alone = await client.generate(TASK, **{**OPTIONS, "seed": picture.seed}, palette=["#2a9d8f"])
        assert alone.best.data == picture.data


async def test_no_colours_are_no_palette(client: AsyncClient) -> None:
    plain = await client.generate(TASK, **OPTIONS)
    assert (await client.generate(TASK, **OPTIONS, palette=[])).best.data == plain.best.data


async def test_on_a_place_that_stays_a_palette_has_no_effect(client: AsyncClient) -> None:
    task = Background(PRODUCT, MASK, scene=PRODUCT, scene_strength=0.0)
    result = await client.generate(task, **OPTIONS, palette=PALETTE)
    assert [(each.reason, each.field) for each in result.warnings] == [("NO_EFFECT", "conditioning.palette")]


@pytest.mark.parametrize(
    ("palette", "reason", "field"),
    [
        (["#12345"], Reason.UNKNOWN_VALUE, "[0]"),
        (["#123456", "red"], Reason.UNKNOWN_VALUE, "[1]"),
        (["#123456", ""], Reason.UNKNOWN_VALUE, "[1]"),
        (["##123456"], Reason.UNKNOWN_VALUE, "[0]"),
        (["#12345g"], Reason.UNKNOWN_VALUE, "[0]"),
        (["#112233", "#abc", "123"], Reason.DUPLICATE, "[2]"),
        ([f"#0000{i:02x}" for i in range(11)], Reason.OUT_OF_RANGE, ""),
    ],
)
async def test_what_is_no_palette_is_refused(
    client: AsyncClient, palette: list[str], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(TASK, **OPTIONS, palette=palette)
    assert (caught.value.reason, caught.value.field) == (reason, f"conditioning.palette{field}")
    assert len(palette) <= (await client.info()).limits.max_palette_colours or reason is Reason.OUT_OF_RANGE
