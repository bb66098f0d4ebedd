"""Pictures much longer than the models' sizes: their scene is as long, and every tile of it counts."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from backdrop import AsyncClient, Background, TextToImage
from tests.contract.photos import QUICK, default_of, pixels, receipt_of
from tests.pictures import ellipse_mask, encoded, noisy_photo


@pytest.mark.parametrize("size", [(640, 160), (64, 512)])
async def test_a_long_picture_has_a_long_scene_and_costs_its_tiles(client: AsyncClient, size: tuple[int, int]) -> None:
    pipeline = default_of(await client.info())
    square = await client.generate(TextToImage(), **QUICK, output_size=(256, 256))
    result = await client.generate(TextToImage(), **QUICK, output_size=size)
    assert result.best.image().size == size
    width, height = result.settings.scene_size
    tile = min(pipeline.scene_sizes, key=lambda each: abs(np.log(each[0] / each[1] * size[1] / size[0])))
    assert min(width, height) == min(tile)
    assert max(width, height) > 1.5 * max(tile)
    tiles, rest = divmod(result.usage.row_steps, square.usage.row_steps)
    assert rest == 0
    assert tiles >= max(width, height) / max(tile)
    expected = result.usage.row_steps * tile[0] * tile[1] / 1e6
    assert result.usage.row_step_megapixels == pytest.approx(expected)


async def test_the_product_of_a_long_picture_is_exact(client: AsyncClient) -> None:
    photo, mask = noisy_photo(640, 160), np.zeros((160, 640), np.uint8)
    mask[40:120, 300:380] = ellipse_mask(80, 80)
    result = await client.generate(Background(encoded(photo), encoded(mask)), **QUICK)
    receipt = receipt_of(result.best)
    assert receipt.exact
    assert receipt.compared_pixels == (mask == 255).sum()
    assert np.array_equal(pixels(result.best)[mask == 255], photo[mask == 255])


async def test_the_longest_picture_is_the_same_alone_and_among_others(client: AsyncClient) -> None:
    """Its guided steps have more rows than a batch of the reference denoiser takes."""
    options: dict[str, Any] = {"prompt": "on a table", "steps": 2, "seed": 5}
    alone = await client.generate(TextToImage(), **options, output_size=(4096, 64))
    together = await asyncio.gather(
        client.generate(TextToImage(), **options, output_size=(4096, 64)),
        client.generate(TextToImage(), **QUICK, output_size=(192, 640)),
        client.generate(TextToImage(), **QUICK),
    )
    assert together[0].best.data == alone.best.data
    assert together[0].usage == alone.usage
