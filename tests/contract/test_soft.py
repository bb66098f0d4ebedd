"""Borders of cut-outs: an alpha edge is honoured to the last level; a soft one is mended, and the receipt maps it.

At `scene_strength` 0 the scene is the picture of the place to the last bit, so whole pictures are known beforehand.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backdrop import AsyncClient, Background, Box, Fit, InvalidRequestError, Product, Reason, WarningReason
from backdrop.contract.arrays import blend
from tests.contract.photos import HARD_MASK, HEIGHT, PHOTO, WIDTH, pixels, receipt_of, rgba
from tests.pictures import encoded, noisy_photo

PLACE = noisy_photo(WIDTH, HEIGHT, 9)
OPTIONS: dict[str, Any] = {"steps": 2, "guidance_scale": 1.0, "seed": 3}
DAMAGE, SOFT = 3, 4
# Grainy, so that colours are told apart as in a photo: a dark product before a light wall.
CLEAN = (np.where(HARD_MASK[..., None] == 255, 60, 190) + noisy_photo(WIDTH, HEIGHT) // 16).astype(np.uint8)


def on_place(product: bytes, mask: bytes | None = None, **fields: Any) -> Background:
    return Background(product, mask, scene=encoded(PLACE), scene_strength=0.0, **fields)


def damaged(pixels: int) -> bytes:
    """The mask with so many pixels too much, or too little below 0."""
    kind = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
    return encoded(np.asarray(Image.fromarray(HARD_MASK).filter(kind(2 * abs(pixels) + 1))))


async def test_an_alpha_edge_is_honoured_to_the_last_level(client: AsyncClient) -> None:
    alpha = np.linspace(0, 255, WIDTH * HEIGHT).round().astype(np.uint8).reshape(HEIGHT, WIDTH)
    assert len(np.unique(alpha)) == 256
    best = (await client.generate(on_place(rgba(PHOTO, alpha)), **OPTIONS)).best
    assert np.array_equal(pixels(best), blend(alpha, PHOTO, PLACE))
    receipt = receipt_of(best)
    assert (receipt.max_difference, receipt.changes) == (0, None)


@pytest.mark.parametrize("pixels_wrong", [DAMAGE, -DAMAGE])
async def test_a_soft_border_mends_a_cut_out(client: AsyncClient, pixels_wrong: int) -> None:
    mask, true = damaged(pixels_wrong), blend(HARD_MASK, CLEAN, PLACE)
    hard = (await client.generate(on_place(encoded(CLEAN), mask), **OPTIONS)).best
    soft = (await client.generate(on_place(encoded(CLEAN), mask, soft=SOFT), **OPTIONS)).best
    errors = [np.abs(pixels(each).astype(int) - true).mean() for each in (hard, soft)]
    assert errors[0] > 0
    assert errors[1] < 0.5 * errors[0]
    receipt, difference = receipt_of(soft), np.abs(pixels(soft).astype(int) - pixels(hard)).max(axis=-1)
    assert receipt.changes is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(receipt.changes.map))), difference)
    assert receipt.changes.changed_pixels == np.count_nonzero(difference) > 0
    assert receipt.max_difference == 0
    assert not receipt.exact


async def test_a_good_cut_out_stays_and_its_receipt_is_exact(client: AsyncClient) -> None:
    mask = encoded(HARD_MASK)
    hard = (await client.generate(on_place(encoded(CLEAN), mask), **OPTIONS)).best
    soft = (await client.generate(on_place(encoded(CLEAN), mask, soft=SOFT), **OPTIONS)).best
    assert soft.data == hard.data
    assert receipt_of(soft).exact


async def test_colours_change_only_in_the_band_and_as_far_as_said(client: AsyncClient) -> None:
    mask, means = encoded(HARD_MASK), []
    for harmonise in (0.0, 0.4, 0.8):
        task = on_place(encoded(CLEAN), mask, soft=SOFT, harmonise=harmonise)
        best = (await client.generate(task, **OPTIONS)).best
        receipt = receipt_of(best)
        assert receipt.changes is not None
        means.append(receipt.changes.mean_difference)
        assert receipt.max_difference == 0
        assert receipt.compared_pixels == (HARD_MASK == 255).sum() - receipt.changes.band_pixels
        assert np.array_equal(pixels(best)[HARD_MASK == 0], PLACE[HARD_MASK == 0])
    assert means[0] == 0 < means[1] < means[2]


async def test_placed_and_layered_products_are_mended_in_their_places(client: AsyncClient) -> None:
    photo, mask = encoded(CLEAN), damaged(DAMAGE)
    more = [Product(photo, mask, Box(50, 10, 40, 30))]
    for placement in (Fit(0.1), Box(5, 5, 48, 40)):
        task = on_place(photo, mask, soft=SOFT, placement=placement, more_products=more)
        receipt = receipt_of((await client.generate(task, **OPTIONS)).best)
        assert receipt.changes is not None
        assert receipt.changes.changed_pixels > 0
        assert receipt.max_difference == 0
        assert len(receipt.products) == 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"soft": 0}, "background.soft"),
        ({"soft": 17}, "background.soft"),
        ({"soft": 4, "harmonise": 1.5}, "background.harmonise"),
    ],
)
async def test_values_out_of_range_are_refused(client: AsyncClient, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(on_place(encoded(CLEAN), damaged(1), **fields), **OPTIONS)
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, field)


async def test_a_hard_border_does_not_harmonise(client: AsyncClient) -> None:
    result = await client.generate(on_place(encoded(CLEAN), damaged(1), harmonise=0.5), **OPTIONS)
    assert [(each.reason, each.field) for each in result.warnings] == [
        (WarningReason.NO_EFFECT, "background.harmonise")
    ]
