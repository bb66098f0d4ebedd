"""Vary: a picture again, nearer to it or farther from it by the strength, and cheaper the nearer."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop import AsyncClient, InvalidRequestError, Reason, StepProgress, Vary
from tests.contract.photos import HEIGHT, PHOTO, PRODUCT, WIDTH, pixels

OPTIONS = {"prompt": "on a table", "steps": 5, "guidance_scale": 1.0, "seed": 3}


@pytest.mark.parametrize(("strength", "steps"), [(None, 3), (0.6, 3), (0.01, 1), (0.0, 0), (1.0, 5)])
async def test_the_strength_is_the_share_of_the_steps(client: AsyncClient, strength: float | None, steps: int) -> None:
    generation = client.generate(Vary(PRODUCT, strength), **OPTIONS, variants=2)
    progress = [event.step async for event in generation if isinstance(event, StepProgress) and event.variant == 0]
    result = await generation
    assert progress == list(range(6 - steps, 6))
    assert result.usage.row_steps == 2 * steps
    assert result.settings.task == "vary"
    assert result.settings.strength == pytest.approx(0.6 if strength is None else strength)
    assert result.best.image().size == (WIDTH, HEIGHT)
    assert result.best.receipt is None


async def test_pictures_go_farther_from_the_picture_with_the_strength(client: AsyncClient) -> None:
    distances = []
    for strength in (0.2, 0.6, 1.0):
        picture = pixels((await client.generate(Vary(PRODUCT, strength), **OPTIONS)).best)
        distances.append(float(np.abs(picture.astype(float) - PHOTO).mean()))
    assert distances == sorted(distances)


async def test_without_a_step_the_seed_makes_no_difference(client: AsyncClient) -> None:
    result = await client.generate(Vary(PRODUCT, 0.0), **OPTIONS, variants=2)
    assert result.pictures[0].data == result.pictures[1].data


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
async def test_a_strength_out_of_range_is_refused(client: AsyncClient, strength: float) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Vary(PRODUCT, strength), **OPTIONS)
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, "vary.strength")


async def test_its_size_is_the_pictures(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Vary(PRODUCT), **OPTIONS, output_size=(64, 64))
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_NOT_TAKEN, "delivery.size")
