"""Fill: new pixels under the mask, every other pixel kept to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import AsyncClient, CompositingMode, Fill, InvalidRequestError, Reason
from tests.contract.photos import HARD_MASK, MASK, PHOTO, PRODUCT, QUICK, SOFT_MASK, digest, pixels
from tests.pictures import encoded


async def test_what_the_mask_does_not_mark_is_exact(client: AsyncClient) -> None:
    result = await client.generate(Fill(PRODUCT, MASK), **QUICK)
    receipt, kept = result.best.receipt, HARD_MASK == 0
    assert result.settings.task == "fill"
    assert (pixels(result.best)[kept] == PHOTO[kept]).all()
    assert (pixels(result.best)[~kept] != PHOTO[~kept]).any()
    assert receipt is not None
    assert (receipt.max_difference, receipt.compared_pixels) == (0, int(kept.sum()))
    assert receipt.mask_digest == digest(255 - HARD_MASK)


async def test_a_soft_mask_is_blended(client: AsyncClient) -> None:
    result = await client.generate(Fill(PRODUCT, encoded(SOFT_MASK)), **QUICK)
    assert result.best.receipt is not None
    assert result.best.receipt.compositing is CompositingMode.SOFT


async def test_the_prompt_decides_what_is_made(client: AsyncClient) -> None:
    one = await client.generate(Fill(PRODUCT, MASK), **QUICK, seed=4)
    other = await client.generate(Fill(PRODUCT, MASK), **{**QUICK, "prompt": "snow"}, seed=4)
    assert one.best.data != other.best.data


@pytest.mark.parametrize(
    ("task", "options", "reason", "field"),
    [
        (Fill(PRODUCT, MASK), {"prompt": ""}, Reason.MISSING_FIELD, "conditioning.prompt"),
        (Fill(PRODUCT, MASK), {"output_size": (128, 128)}, Reason.FIELD_NOT_TAKEN, "delivery.size"),
        (Fill(PRODUCT, encoded(np.zeros_like(HARD_MASK))), {}, Reason.INVALID_MASK, "fill.mask"),
        (Fill(PRODUCT, encoded(np.full_like(HARD_MASK, 255))), {}, Reason.INVALID_MASK, "fill.mask"),
        (Fill(PRODUCT, encoded(HARD_MASK[:-1])), {}, Reason.INVALID_MASK, "fill.mask"),
        (Fill(b"no picture", MASK), {}, Reason.INVALID_PICTURE, "fill.picture"),
    ],
)
async def test_what_cannot_be_filled_is_refused(
    client: AsyncClient, task: Fill, options: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **{**QUICK, **options})
    assert (caught.value.reason, caught.value.field) == (reason, field)
