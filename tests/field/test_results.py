"""What comes back: receipts that compared something, and warnings about what was corrected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import backdrop
from backdrop import Background, EarlyDropping, Erase, InvalidRequestError, TextToImage, WarningReason
from backdrop.testing import FakeBackdrop
from tests.field import files
from tests.field.files import HEIGHT, MASK, PHOTO, SOFT_MASK, WIDTH, jpeg

ONES = MASK // np.uint8(255)
"""Class numbers."""
OPTIONS: dict[str, Any] = {"prompt": "a table", "steps": 2, "guidance_scale": 1.0}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[backdrop.AsyncClient]:
    with FakeBackdrop() as fake:
        async with backdrop.AsyncClient(fake.endpoint, retries=0) as client:
            yield client


async def warnings(client: backdrop.AsyncClient, task: backdrop.Task, **options: Any) -> list[tuple[str, str]]:
    result = await client.generate(task, **{**OPTIONS, **options})
    return [(each.reason, each.field) for each in result.warnings]


@pytest.mark.row("zero-one-mask")
async def test_a_mask_of_class_numbers_never_becomes_a_picture(client: backdrop.AsyncClient) -> None:
    for task in (Background(PHOTO, files.zero_one()), Background(PHOTO, ONES), Erase(PHOTO, ONES)):
        with pytest.raises(InvalidRequestError, match="class numbers"):
            await client.generate(task, steps=1)


@pytest.mark.row("residue")
async def test_residue_does_not_make_the_product_tiny(client: backdrop.AsyncClient) -> None:
    result = await client.generate(Background(files.residue()), **OPTIONS, output_size=(256, 256))
    clean = await client.generate(Background(np.dstack([PHOTO, SOFT_MASK])), **OPTIONS, output_size=(256, 256))
    box = result.best.receipt.known_box if result.best.receipt else None
    assert clean.best.receipt is not None
    assert box == clean.best.receipt.known_box
    assert [each.reason for each in result.warnings] == [WarningReason.RESIDUE_CLEARED]


@pytest.mark.row("nearly-binary")
@pytest.mark.parametrize("mask", [files.mask_254(), jpeg(MASK, 90)], ids=["254", "jpeg"])
async def test_a_nearly_binary_mask_keeps_the_product_exactly(client: backdrop.AsyncClient, mask: bytes) -> None:
    best = (await client.generate(Background(PHOTO, mask), **OPTIONS)).best
    assert best.receipt is not None
    assert (best.receipt.exact, best.receipt.compared_pixels) == (True, int((MASK == 255).sum()))
    assert np.array_equal(np.asarray(best.image())[MASK == 255], PHOTO[MASK == 255])


async def test_a_receipt_says_how_much_it_compared(client: backdrop.AsyncClient) -> None:
    receipt = (await client.generate(Background(PHOTO, SOFT_MASK), **OPTIONS)).best.receipt
    assert receipt is not None
    assert receipt.known_pixels == (SOFT_MASK > 0).sum()
    assert receipt.compared_pixels == (SOFT_MASK == 255).sum()
    assert receipt.compared_fraction == pytest.approx(receipt.compared_pixels / receipt.known_pixels)
    assert receipt.exact
    lossy = (await client.generate(Background(PHOTO, MASK), **OPTIONS, output_format="jpeg")).best.receipt
    assert lossy is not None
    assert not lossy.exact


async def test_a_receipt_about_little_is_not_exact(client: backdrop.AsyncClient) -> None:
    faint = (SOFT_MASK // 2).astype(np.uint8)
    faint[HEIGHT // 2, WIDTH // 2] = 255
    receipt = (await client.generate(Background(PHOTO, faint), **OPTIONS)).best.receipt
    assert receipt is not None
    assert (receipt.max_difference, receipt.compared_pixels, receipt.exact) == (0, 1, False)


async def test_a_receipt_about_nothing_is_not_exact(client: backdrop.AsyncClient) -> None:
    dots = np.zeros((HEIGHT * 8, WIDTH * 8), np.uint8)
    dots[::16, ::16] = 255  # once it is made small, nothing of it is certain
    photo = np.array(Image.fromarray(PHOTO).resize((WIDTH * 8, HEIGHT * 8)))
    receipt = (await client.generate(Background(photo, dots), **OPTIONS, output_size=(64, 64))).best.receipt
    assert receipt is not None
    assert (receipt.compared_pixels, receipt.exact) == (0, False)


async def test_warnings_name_reason_field_and_fix(client: backdrop.AsyncClient) -> None:
    result = await client.generate(Background(files.display_p3(), files.mask_254()), **OPTIONS)
    assert [(each.reason, each.field) for each in result.warnings] == [
        (WarningReason.PROFILE_CONVERTED, "background.product"),
        (WarningReason.MASK_SNAPPED, "background.mask"),
    ]
    assert all(each.message.startswith(each.field) and each.message.endswith(".") for each in result.warnings)


async def test_an_ordinary_request_has_no_warnings(client: backdrop.AsyncClient) -> None:
    assert await warnings(client, Background(PHOTO, SOFT_MASK)) == []
    assert await warnings(client, Background(jpeg(PHOTO))) == []
    assert await warnings(client, TextToImage(), guidance_scale=3.0, negative_prompt="people") == []


async def test_warnings_of_style_pictures_and_of_masks_of_the_scene(client: backdrop.AsyncClient) -> None:
    styles = [PHOTO, files.mpo()]
    assert await warnings(client, Background(PHOTO, np.invert(MASK)), style_images=styles) == [
        (WarningReason.MASK_MAYBE_INVERTED, "background.mask"),
        (WarningReason.FIRST_PICTURE_TAKEN, "conditioning.style_images[1].image"),
    ]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"guidance_window": (0.0, 0.5)}, "sampling.guidance_window"),
        ({"negative_prompt": "people"}, "conditioning.negative_prompt"),
        ({"image_scale": 1.0}, "conditioning.image_scale"),
        ({"image_scale": 0.0, "style_images": [PHOTO]}, "conditioning.style_images"),
        ({"variants": 2, "early_dropping": EarlyDropping(keep=2)}, "selection.early_dropping"),
        ({"preview_every": 3}, "delivery.preview_every"),
    ],
)
async def test_fields_without_effect_are_said(
    client: backdrop.AsyncClient, options: dict[str, Any], field: str
) -> None:
    assert await warnings(client, Background(PHOTO, MASK), **options) == [(WarningReason.NO_EFFECT, field)]


async def test_a_replay_has_the_same_warnings(client: backdrop.AsyncClient) -> None:
    options = {**OPTIONS, "idempotency_key": "field-warnings", "seed": 1}
    first = await client.generate(Background(PHOTO, files.mask_254()), **options)
    again = await client.generate(Background(PHOTO, files.mask_254()), **options)
    assert again.replayed
    assert again.warnings == first.warnings != ()
