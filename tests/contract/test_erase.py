"""Erase: everything outside the widened mask is kept to the last bit, and nothing about words can be said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backdrop import AsyncClient, Box, CompositingMode, Erase, InvalidRequestError, MaskSource, Reason
from backdrop.contract.arrays import Bytes
from backdrop.contract.erasing import hole_around
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PHOTO, PRODUCT, SOFT_MASK, WIDTH, digest, pixels, scores_of
from tests.pictures import encoded

FAST: dict[str, Any] = {"steps": 2}


def grown(mask: Bytes, by: int) -> Bytes:
    """The mask, widened on every side."""
    return np.array(Image.fromarray(mask).filter(ImageFilter.MaxFilter(2 * by + 1)))


@pytest.mark.parametrize(("grow", "made"), [(None, hole_around(HARD_MASK)), (0, HARD_MASK), (5, grown(HARD_MASK, 5))])
async def test_what_is_not_erased_is_exact(client: AsyncClient, grow: int | None, made: Bytes) -> None:
    result = await client.generate(Erase(PRODUCT, MASK, grow), **FAST)
    picture, kept = result.best, made == 0
    assert (pixels(picture)[kept] == PHOTO[kept]).all()
    assert picture.receipt is not None
    assert (picture.receipt.max_difference, picture.receipt.compared_pixels) == (0, int(kept.sum()))
    assert picture.receipt.mask_digest == digest(255 - made)
    assert picture.receipt.known_box == Box(0, 0, WIDTH, HEIGHT)
    assert picture.receipt.mask_source is MaskSource.REQUEST
    assert picture.receipt.unscaled
    assert (pixels(picture)[made == 255] != PHOTO[made == 255]).any()


async def test_a_soft_mask_is_blended(client: AsyncClient) -> None:
    result = await client.generate(Erase(PRODUCT, encoded(SOFT_MASK), 0), **FAST)
    assert result.best.receipt is not None
    assert result.best.receipt.compositing is CompositingMode.SOFT


async def test_without_words_there_is_no_guidance(client: AsyncClient) -> None:
    result = await client.generate(Erase(PRODUCT, MASK), **FAST, variants=3, top_k=2)
    assert (result.settings.task, result.settings.guidance_scale) == ("erase", 1.0)
    assert result.usage.row_steps == 3 * 2
    totals = [scores_of(picture).total for picture in result.pictures]
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"prompt": "a beach"}, "conditioning.prompt"),
        ({"style_images": [PRODUCT]}, "conditioning.style_images"),
        ({"guidance_scale": 3.0}, "sampling.guidance_scale"),
        ({"output_size": (128, 128)}, "delivery.size"),
    ],
)
async def test_fields_that_it_does_not_take_are_refused(
    client: AsyncClient, option: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Erase(PRODUCT, MASK), **FAST, **option)
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_NOT_TAKEN, field)


@pytest.mark.parametrize(
    ("task", "reason", "field"),
    [
        (Erase(PRODUCT, encoded(HARD_MASK[:-1])), Reason.INVALID_MASK, "erase.mask"),
        (Erase(PRODUCT, encoded(np.zeros_like(HARD_MASK))), Reason.INVALID_MASK, "erase.mask"),
        (Erase(PRODUCT, encoded(np.full_like(HARD_MASK, 255))), Reason.INVALID_MASK, "erase.mask"),
        (Erase(PRODUCT, MASK, 64), Reason.INVALID_MASK, "erase.mask"),
        (Erase(PRODUCT, MASK, 65), Reason.OUT_OF_RANGE, "erase.grow"),
        (Erase(b"no picture", MASK), Reason.INVALID_PICTURE, "erase.picture"),
        (Erase(PRODUCT, b"no picture"), Reason.INVALID_MASK, "erase.mask"),
    ],
)
async def test_what_cannot_be_erased_is_refused(client: AsyncClient, task: Erase, reason: Reason, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **FAST)
    assert (caught.value.reason, caught.value.field) == (reason, field)
