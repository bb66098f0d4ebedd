"""Warnings tell what was corrected and which fields had no effect; receipts tell how much was compared."""

from __future__ import annotations

import numpy as np
import pytest

from backdrop import AsyncClient, Background, Erase, Fill, RequestWarning, Result, Vary, WarningReason
from tests.contract.photos import HARD_MASK, MASK, PHOTO, PRODUCT, QUICK, SOFT_MASK, TASK, pixels, receipt_of, rgba
from tests.field import files
from tests.pictures import encoded

NEARLY = encoded(np.minimum(HARD_MASK, 254).astype(np.uint8))


def reasons(result: Result) -> list[tuple[str, str]]:
    return [(each.reason, each.field) for each in result.warnings]


async def test_an_ordinary_request_has_no_warnings(client: AsyncClient) -> None:
    assert (await client.generate(TASK, **QUICK)).warnings == ()
    assert (await client.generate(Background(PRODUCT, SOFT_MASK), **QUICK)).warnings == ()


async def test_what_was_corrected_is_said_and_the_product_kept_as_it_was_meant(client: AsyncClient) -> None:
    result = await client.generate(Background(PRODUCT, NEARLY), **QUICK)
    assert reasons(result) == [(WarningReason.MASK_SNAPPED, "background.mask")]
    assert np.array_equal(pixels(result.best)[HARD_MASK == 255], PHOTO[HARD_MASK == 255])
    assert (receipt_of(result.best).exact, receipt_of(result.best).compared_fraction) == (True, 1.0)


async def test_residue_does_not_count_as_product(client: AsyncClient) -> None:
    alpha = SOFT_MASK.copy()
    alpha[0, 0], alpha[-1, -1] = 2, 1
    result = await client.generate(Background(rgba(PHOTO, alpha)), **QUICK, output_size=(128, 128))
    clean = await client.generate(Background(rgba(PHOTO, SOFT_MASK)), **QUICK, output_size=(128, 128))
    assert receipt_of(result.best).known_box == receipt_of(clean.best).known_box
    assert reasons(result) == [(WarningReason.RESIDUE_CLEARED, "background.product")]


async def test_a_receipt_that_compares_little_is_not_exact(client: AsyncClient) -> None:
    faint = (SOFT_MASK // 2).astype(np.uint8)
    faint[HARD_MASK.shape[0] // 2, HARD_MASK.shape[1] // 2] = 255
    receipt = receipt_of((await client.generate(Background(PRODUCT, faint), **QUICK)).best)
    assert (receipt.max_difference, receipt.compared_pixels, receipt.exact) == (0, 1, False)
    assert receipt.known_pixels == (faint > 0).sum()
    assert receipt.compared_fraction == pytest.approx(1 / receipt.known_pixels)


async def test_warnings_come_in_the_order_fields_pictures_styles(client: AsyncClient) -> None:
    result = await client.generate(
        Background(files.display_p3(), NEARLY),
        **QUICK,
        negative_prompt="people",
        style_images=[PRODUCT, files.mpo()],
    )
    assert reasons(result) == [
        (WarningReason.NO_EFFECT, "conditioning.negative_prompt"),
        (WarningReason.PROFILE_CONVERTED, "background.product"),
        (WarningReason.MASK_SNAPPED, "background.mask"),
        (WarningReason.FIRST_PICTURE_TAKEN, "conditioning.style_images[1].image"),
    ]
    assert all(isinstance(each, RequestWarning) and each.message.endswith(".") for each in result.warnings)


async def test_every_task_says_what_was_corrected(client: AsyncClient) -> None:
    transparent = rgba(PHOTO, SOFT_MASK)
    unused = (WarningReason.ALPHA_IGNORED, "erase.picture")
    assert reasons(await client.generate(Erase(transparent, MASK), steps=1)) == [unused]
    snapped = (WarningReason.MASK_SNAPPED, "fill.mask")
    assert reasons(await client.generate(Fill(PRODUCT, NEARLY), **QUICK)) == [snapped]
    unused = (WarningReason.ALPHA_IGNORED, "vary.picture")
    assert reasons(await client.generate(Vary(transparent), **QUICK)) == [unused]


async def test_a_replay_has_the_warnings_of_the_first_call(client: AsyncClient) -> None:
    options = {**QUICK, "seed": 5, "idempotency_key": "warnings-are-kept"}
    first = await client.generate(Background(PRODUCT, NEARLY), **options)
    again = await client.generate(Background(PRODUCT, NEARLY), **options)
    assert (again.replayed, again.warnings) == (True, first.warnings)
    assert first.warnings
