"""Shadow: computed from the outline of a product that stays to the last bit; nothing is sampled, nothing scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import (
    AsyncClient,
    InvalidRequestError,
    MaskSource,
    Reason,
    Shadow,
    ShadowKind,
    Stage,
    StageStarted,
    StepProgress,
    VariantFinished,
)
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PHOTO, PRODUCT, WIDTH, pixels
from tests.pictures import encoded


async def test_the_product_is_exact_and_the_ground_below_it_darker(client: AsyncClient) -> None:
    result = await client.generate(Shadow(PRODUCT, MASK))
    picture, product = pixels(result.best), HARD_MASK == 255
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert (picture[product] == PHOTO[product]).all()
    assert (picture <= PHOTO).all()
    assert (picture < PHOTO).any()
    receipt = result.best.receipt
    assert receipt is not None
    assert (receipt.max_difference, receipt.mask_source) == (0, MaskSource.REQUEST)
    assert receipt.compared_pixels >= int(product.sum())


async def test_no_step_is_taken_and_nothing_is_scored(client: AsyncClient) -> None:
    generation = client.generate(Shadow(PRODUCT, MASK))
    events = [event async for event in generation]
    stages = [event.stage for event in events if isinstance(event, StageStarted)]
    assert stages == [Stage.PREPARE, Stage.SELECT]
    assert not any(isinstance(event, StepProgress) for event in events)
    assert [event.scores for event in events if isinstance(event, VariantFinished)] == [None]
    result = await generation
    assert result.best.scores is None
    assert result.usage.row_steps == 0
    assert (result.settings.task, result.settings.steps, len(result.pictures)) == ("shadow", 0, 1)


async def test_the_same_request_makes_the_same_bytes(client: AsyncClient) -> None:
    first, second = [await client.generate(Shadow(PRODUCT, MASK, ShadowKind.CAST)) for _ in range(2)]
    assert first.best.data == second.best.data


async def test_without_a_mask_the_product_is_looked_for(client: AsyncClient) -> None:
    result = await client.generate(Shadow(PRODUCT))
    assert result.best.receipt is not None
    assert result.best.receipt.mask_source is MaskSource.SEGMENTER


@pytest.mark.parametrize(
    ("task", "options", "reason", "field"),
    [
        (Shadow(PRODUCT, MASK), {"prompt": "a beach"}, Reason.FIELD_NOT_TAKEN, "conditioning.prompt"),
        (Shadow(PRODUCT, MASK), {"steps": 4}, Reason.FIELD_NOT_TAKEN, "sampling.steps"),
        (Shadow(PRODUCT, MASK), {"seed": 4}, Reason.FIELD_NOT_TAKEN, "sampling.seed"),
        (Shadow(PRODUCT, MASK), {"variants": 2}, Reason.FIELD_NOT_TAKEN, "selection.variants"),
        (Shadow(PRODUCT, MASK, intensity=2.0), {}, Reason.OUT_OF_RANGE, "shadow.intensity"),
        (Shadow(PRODUCT, encoded(np.zeros_like(HARD_MASK))), {}, Reason.INVALID_MASK, "shadow.mask"),
        (Shadow(b"no picture", MASK), {}, Reason.INVALID_PICTURE, "shadow.picture"),
    ],
)
async def test_what_it_does_not_take_is_refused(
    client: AsyncClient, task: Shadow, options: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **options)
    assert (caught.value.reason, caught.value.field) == (reason, field)
