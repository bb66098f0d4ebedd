"""Background on a given place: a picture of it instead of a prompt, nearer to it or farther from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from backdrop import AsyncClient, Background, Box, Fit, InvalidRequestError, Product, Reason, StepProgress
from tests.contract.photos import (
    HARD_MASK,
    HEIGHT,
    MASK,
    PHOTO,
    PRODUCT,
    SOFT_MASK,
    WIDTH,
    Bytes,
    pixels,
    receipt_of,
    rgba,
)
from tests.pictures import encoded, noisy_photo

OPTIONS: dict[str, Any] = {"steps": 5, "guidance_scale": 1.0, "seed": 3}
SMOOTH = np.asarray(Image.fromarray(noisy_photo(4, 3, 5)).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
PLACE = encoded(SMOOTH)


def distance(picture: Bytes, mask: Bytes = HARD_MASK) -> float:
    """Mean difference from the place where the product is not."""
    return float(np.abs(picture.astype(int) - SMOOTH)[mask == 0].mean())


@pytest.mark.parametrize(("strength", "steps"), [(None, 3), (0.2, 1), (0.0, 0), (1.0, 5)])
async def test_the_strength_is_the_share_of_the_steps(client: AsyncClient, strength: float | None, steps: int) -> None:
    generation = client.generate(Background(PRODUCT, MASK, scene=PLACE, scene_strength=strength), **OPTIONS)
    progress = [event.step async for event in generation if isinstance(event, StepProgress)]
    result = await generation
    assert progress == list(range(6 - steps, 6))
    assert result.usage.row_steps == steps
    assert result.settings.strength == pytest.approx(0.6 if strength is None else strength)
    assert not result.warnings


async def test_the_product_is_exact_and_the_place_fades_with_the_strength(client: AsyncClient) -> None:
    distances = []
    for strength in (0.0, 0.2, 0.6, 1.0):
        best = (await client.generate(Background(PRODUCT, MASK, scene=PLACE, scene_strength=strength), **OPTIONS)).best
        picture = pixels(best)
        assert np.array_equal(picture[HARD_MASK == 255], PHOTO[HARD_MASK == 255])
        assert receipt_of(best).max_difference == 0
        distances.append(distance(picture))
    assert distances[0] == 0
    assert distances == sorted(distances)
    print(distances)
    assert distances[1] < 0.5 * distances[3]


async def test_without_a_step_the_product_stands_in_the_place_itself(client: AsyncClient) -> None:
    task = Background(rgba(PHOTO, SOFT_MASK), scene=PLACE, scene_strength=0.0)
    picture = pixels((await client.generate(task, **OPTIONS)).best)
    alpha = SOFT_MASK[..., None].astype(int)
    expected = (alpha * PHOTO + (255 - alpha) * SMOOTH + 127) // 255
    assert np.abs(picture - expected).max() <= 1


@pytest.mark.parametrize("size", [(WIDTH * 2, HEIGHT), (WIDTH, HEIGHT * 2)])
async def test_the_place_covers_the_picture(client: AsyncClient, size: tuple[int, int]) -> None:
    place = np.zeros((40, 40, 3), np.uint8)
    place[:, :20, 0] = 200
    place[:20, :, 2] = 200
    task = Background(PRODUCT, MASK, Box(40, 30, 30, 20), scene=encoded(place), scene_strength=0.0)
    picture = pixels((await client.generate(task, **OPTIONS, output_size=size)).best)
    # Its middle is the picture's: the four quarters meet there.
    assert picture.shape[:2] == (size[1], size[0])
    for corner, colour in (
        ((2, 2), (200, 0, 200)),
        ((2, -3), (0, 0, 200)),
        ((-3, 2), (200, 0, 0)),
        ((-3, -3), (0, 0, 0)),
    ):
        assert np.abs(picture[corner].astype(int) - colour).max() < 12


async def test_several_products_stand_in_the_place(client: AsyncClient) -> None:
    cup = noisy_photo(20, 16, 4)
    more = [Product(encoded(cup), encoded(np.full((16, 20), 255, np.uint8)), Box(70, 40, 20, 16))]
    task = Background(PRODUCT, MASK, Fit(0.2), more, scene=PLACE, scene_strength=0.4)
    best = (await client.generate(task, **OPTIONS)).best
    assert np.array_equal(pixels(best)[40:56, 70:90], cup)
    assert receipt_of(best).exact


async def test_a_strength_without_a_place_has_no_effect(client: AsyncClient) -> None:
    result = await client.generate(Background(PRODUCT, MASK, scene_strength=0.5), **OPTIONS)
    assert [(each.reason, each.field) for each in result.warnings] == [("NO_EFFECT", "background.scene_strength")]
    assert result.settings.strength == 1.0


@pytest.mark.parametrize(
    ("scene", "strength", "reason", "field"),
    [
        (PLACE, -0.1, Reason.OUT_OF_RANGE, "scene_strength"),
        (PLACE, 1.1, Reason.OUT_OF_RANGE, "scene_strength"),
        (PLACE, float("nan"), Reason.OUT_OF_RANGE, "scene_strength"),
        (b"no picture", 0.5, Reason.INVALID_PICTURE, "scene"),
        (PLACE[: len(PLACE) // 2], 0.5, Reason.INVALID_PICTURE, "scene"),
    ],
)
async def test_what_is_no_place_is_refused(
    client: AsyncClient, scene: bytes, strength: float, reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Background(PRODUCT, MASK, scene=scene, scene_strength=strength), **OPTIONS)
    assert (caught.value.reason, caught.value.field) == (reason, f"background.{field}")
