"""The product: its pixels are those that were sent, it stands where it was asked to, and the receipt is true."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backdrop import AsyncClient, Background, Box, CompositingMode, Fit, MaskSource
from tests.contract.photos import (
    HARD_MASK,
    HEIGHT,
    MASK,
    PHOTO,
    PRODUCT,
    QUICK,
    SOFT_MASK,
    TASK,
    WIDTH,
    Bytes,
    box_of,
    digest,
    pixels,
    receipt_of,
    rgba,
)
from tests.pictures import encoded

CUT = box_of(HARD_MASK)


async def test_a_hard_product_at_its_own_size_is_copied(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK, variants=2)
    for picture in result.pictures:
        made, receipt = pixels(picture), receipt_of(picture)
        assert made.shape == PHOTO.shape
        inside = HARD_MASK == 255
        assert np.array_equal(made[inside], PHOTO[inside])
        assert not np.array_equal(made[~inside], PHOTO[~inside])  # the scene is new
        assert receipt.max_difference == 0
        assert receipt.compared_pixels == inside.sum()
        assert receipt.mask_digest == digest(HARD_MASK)
        assert receipt.compositing is CompositingMode.HARD
        assert receipt.mask_source is MaskSource.REQUEST
        assert receipt.known_box == Box(*CUT)
        assert receipt.unscaled


async def test_a_soft_product_keeps_its_opaque_pixels_and_blends_its_edge(client: AsyncClient) -> None:
    best = (await client.generate(Background(PRODUCT, encoded(SOFT_MASK)), **QUICK)).best
    made, opaque = pixels(best), SOFT_MASK == 255
    assert np.array_equal(made[opaque], PHOTO[opaque])
    assert receipt_of(best).max_difference == 0
    assert receipt_of(best).compared_pixels == opaque.sum()
    assert receipt_of(best).mask_digest == digest(SOFT_MASK)
    assert receipt_of(best).compositing is CompositingMode.SOFT
    assert receipt_of(best).known_box == Box(*box_of(SOFT_MASK))
    # alpha × product + (1 − alpha) × scene: no edge pixel is farther from the product than the scene's share allows.
    edge = (SOFT_MASK > 0) & ~opaque
    share = (255 - SOFT_MASK[edge].astype(int))[:, None]
    assert (np.abs(made[edge].astype(int) - PHOTO[edge].astype(int)) <= share + 1).all()


@pytest.mark.parametrize(("mask", "mode"), [(SOFT_MASK, CompositingMode.SOFT), (HARD_MASK, CompositingMode.HARD)])
async def test_alpha_is_a_mask(client: AsyncClient, mask: Bytes, mode: CompositingMode) -> None:
    product = rgba(PHOTO, mask)
    best = (await client.generate(Background(product), **QUICK)).best
    assert receipt_of(best).mask_source is MaskSource.ALPHA
    assert receipt_of(best).mask_digest == digest(mask)
    assert receipt_of(best).compositing is mode
    assert np.array_equal(pixels(best)[mask == 255], PHOTO[mask == 255])


async def test_alpha_and_the_same_mask_make_the_same_picture(client: AsyncClient) -> None:
    by_alpha = await client.generate(Background(rgba(PHOTO, SOFT_MASK)), **QUICK, seed=4)
    by_mask = await client.generate(Background(PRODUCT, encoded(SOFT_MASK)), **QUICK, seed=4)
    assert by_alpha.best.data == by_mask.best.data


async def test_a_mask_replaces_alpha(client: AsyncClient) -> None:
    best = (await client.generate(Background(rgba(PHOTO, SOFT_MASK), MASK), **QUICK)).best
    assert receipt_of(best).mask_source is MaskSource.REQUEST
    assert receipt_of(best).mask_digest == digest(HARD_MASK)
    assert np.array_equal(pixels(best)[HARD_MASK == 255], PHOTO[HARD_MASK == 255])


async def test_without_mask_and_alpha_the_segmenter_makes_one(client: AsyncClient) -> None:
    plain = np.full((128, 128, 3), 235, np.uint8)
    y, x = np.mgrid[:128, :128]
    plain[np.hypot(x - 64, y - 64) < 36] = (180, 40, 30)
    best = (await client.generate(Background(encoded(plain)), **QUICK)).best
    receipt = receipt_of(best)
    assert receipt.mask_source is MaskSource.SEGMENTER
    assert receipt.max_difference == 0
    assert receipt.unscaled


async def test_without_an_output_size_the_picture_has_the_photos(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK)
    assert result.settings.output_size == (WIDTH, HEIGHT)
    assert (result.best.width, result.best.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("size", [(64, 64), (200, 80), (81, 207), (300, 300)])
async def test_the_picture_has_the_size_that_was_asked_for(client: AsyncClient, size: tuple[int, int]) -> None:
    result = await client.generate(TASK, **QUICK, output_size=size)
    assert result.settings.output_size == size
    assert result.best.image().size == size == (result.best.width, result.best.height)
    assert receipt_of(result.best).max_difference == 0
    assert receipt_of(result.best).compared_pixels > 0


async def test_a_box_of_the_products_own_size_moves_it_untouched(client: AsyncClient) -> None:
    x, y, width, height = CUT
    best = (
        await client.generate(Background(PRODUCT, MASK, Box(77, 13, width, height)), **QUICK, output_size=(160, 120))
    ).best
    cutout, mask = PHOTO[y : y + height, x : x + width], HARD_MASK[y : y + height, x : x + width]
    there = pixels(best)[13 : 13 + height, 77 : 77 + width]
    moved = np.zeros((120, 160), np.uint8)
    moved[13 : 13 + height, 77 : 77 + width] = mask
    assert np.array_equal(there[mask == 255], cutout[mask == 255])
    assert receipt_of(best).unscaled
    assert receipt_of(best).max_difference == 0
    assert receipt_of(best).known_box == Box(77, 13, width, height)
    assert receipt_of(best).mask_digest == digest(moved)


@pytest.mark.parametrize("box", [(10, 20, 100, 30), (0, 0, 160, 120), (150, 100, 10, 20), (40, 0, 20, 120)])
async def test_in_a_box_the_product_is_as_large_as_fits_and_centred(
    client: AsyncClient, box: tuple[int, int, int, int]
) -> None:
    best = (await client.generate(Background(PRODUCT, MASK, Box(*box)), **QUICK, output_size=(160, 120))).best
    _assert_fits(receipt_of(best).known_box, box, (0.5, 0.5))
    assert receipt_of(best).max_difference == 0


ALIGNMENTS = [("left", "top", (0.0, 0.0)), ("center", "center", (0.5, 0.5)), ("right", "bottom", (1.0, 1.0))]


@pytest.mark.parametrize("padding", [None, 0.0, 0.1, 0.45])
@pytest.mark.parametrize(("horizontal", "vertical", "align"), ALIGNMENTS)
async def test_fit_keeps_its_padding_and_alignment(
    client: AsyncClient, padding: float | None, horizontal: str, vertical: str, align: tuple[float, float]
) -> None:
    size = (200, 140)
    best = (
        await client.generate(Background(PRODUCT, MASK, Fit(padding, horizontal, vertical)), **QUICK, output_size=size)
    ).best
    pad = round((0.15 if padding is None else padding) * 140)
    _assert_fits(receipt_of(best).known_box, (pad, pad, 200 - 2 * pad, 140 - 2 * pad), align)
    assert receipt_of(best).max_difference == 0


async def test_an_output_size_alone_fits_with_the_defaults(client: AsyncClient) -> None:
    alone = await client.generate(TASK, **QUICK, output_size=(200, 140), seed=9)
    spelled = await client.generate(
        Background(PRODUCT, MASK, Fit(0.15, "center", "center")), **QUICK, output_size=(200, 140), seed=9
    )
    assert alone.best.data == spelled.best.data


async def test_a_placement_alone_keeps_the_photos_size(client: AsyncClient) -> None:
    best = (await client.generate(Background(PRODUCT, MASK, Fit(0.0, "left", "top")), **QUICK)).best
    assert (best.width, best.height) == (WIDTH, HEIGHT)
    _assert_fits(receipt_of(best).known_box, (0, 0, WIDTH, HEIGHT), (0.0, 0.0))


async def test_a_full_mask_with_room_around_it_is_a_rectangular_product(client: AsyncClient) -> None:
    full = encoded(np.full_like(HARD_MASK, 255))
    best = (
        await client.generate(Background(PRODUCT, full, Box(32, 28, WIDTH, HEIGHT)), **QUICK, output_size=(160, 120))
    ).best
    assert np.array_equal(pixels(best)[28 : 28 + HEIGHT, 32 : 32 + WIDTH], PHOTO)
    assert receipt_of(best).compared_pixels == WIDTH * HEIGHT


@pytest.mark.parametrize(("output_format", "most"), [("jpeg", 255), ("webp", 255)])
async def test_the_receipt_tells_what_a_lossy_format_did(client: AsyncClient, output_format: str, most: int) -> None:
    best = (await client.generate(TASK, **QUICK, output_format=output_format)).best
    inside = HARD_MASK == 255
    difference = np.abs(pixels(best)[inside].astype(int) - PHOTO[inside].astype(int)).max()
    assert 0 < difference <= most  # noise survives no lossy codec
    assert receipt_of(best).max_difference == difference


async def test_exif_orientation_is_applied_to_the_photo(client: AsyncClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, "PNG", exif=exif)
    upright = np.ascontiguousarray(np.rot90(PHOTO, -1))
    mask = np.ascontiguousarray(np.rot90(HARD_MASK, -1))
    best = (await client.generate(Background(buffer.getvalue(), encoded(mask)), **QUICK)).best
    assert (best.width, best.height) == (HEIGHT, WIDTH)
    assert np.array_equal(pixels(best)[mask == 255], upright[mask == 255])


def _assert_fits(placed: Box, room: tuple[int, int, int, int], align: tuple[float, float]) -> None:
    """`placed` keeps the cut-out's aspect ratio, fills `room` in one direction, and stands in it as aligned."""
    x, y, width, height = room
    scale = min(width / CUT[2], height / CUT[3])
    assert abs(placed.width - CUT[2] * scale) <= 1
    assert abs(placed.height - CUT[3] * scale) <= 1
    assert placed.width == width or placed.height == height
    assert abs(placed.x - (x + (width - placed.width) * align[0])) <= 1
    assert abs(placed.y - (y + (height - placed.height) * align[1])) <= 1
    assert x <= placed.x <= x + width - placed.width
    assert y <= placed.y <= y + height - placed.height
