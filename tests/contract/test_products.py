"""Several products in one scene: each where its box is, in the order of the request, its pixels as they were sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import AsyncClient, Background, Box, Fit, InvalidRequestError, MaskSource, Product, Reason
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PHOTO, PRODUCT, QUICK, WIDTH, Bytes, pixels, receipt_of, rgba
from tests.pictures import ellipse_mask, encoded, noisy_photo

SIZE = (160, 120)
CUP = noisy_photo(40, 30, 7)
CUP_MASK = ellipse_mask(40, 30, soft=True)
FULL = np.full((30, 40), 255, np.uint8)
FIELD = "background.more_products"


def shown(picture: Bytes, photo: Bytes, mask: Bytes, corner: tuple[int, int]) -> Bytes:
    """Which opaque pixels of an unscaled product, whose cut-out lies there, the picture shows exactly."""
    (x, y), (left, top, width, height) = corner, cut(mask)
    inside = np.s_[top : top + height, left : left + width]
    same = (picture[y : y + height, x : x + width] == photo[inside]).all(axis=2)
    return np.asarray(same[mask[inside] == 255])


def cut(mask: Bytes) -> tuple[int, int, int, int]:
    """The left and upper edge of what a mask marks, and its size."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


async def test_every_product_is_exact_where_its_box_is(client: AsyncClient) -> None:
    width, height = cut(HARD_MASK)[2:]
    cup_width, cup_height = cut(CUP_MASK)[2:]
    task = Background(
        PRODUCT,
        MASK,
        Box(4, 50, width, height),
        [
            Product(encoded(CUP), encoded(CUP_MASK), Box(110, 20, cup_width, cup_height)),
            Product(encoded(CUP), encoded(FULL), Box(115, 80, 40, 30)),
        ],
    )
    best = (await client.generate(task, **QUICK, output_size=SIZE)).best
    picture, receipt = pixels(best), receipt_of(best)
    assert shown(picture, PHOTO, HARD_MASK, (4, 50)).all()
    assert shown(picture, CUP, CUP_MASK, (110, 20)).all()
    assert shown(picture, CUP, FULL, (115, 80)).all()
    assert receipt.max_difference == 0
    assert [each.box for each in receipt.products] == [
        Box(4, 50, width, height),
        Box(110, 20, cup_width, cup_height),
        Box(115, 80, 40, 30),
    ]
    visible = [int((mask == 255).sum()) for mask in (HARD_MASK, CUP_MASK, FULL)]
    assert [each.visible_pixels for each in receipt.products] == visible
    assert receipt.compared_pixels == sum(visible)
    assert all(each.unscaled for each in receipt.products)
    assert receipt.unscaled
    assert receipt.known_box == Box(4, 20, 151, 90)


async def test_later_products_cover_earlier_ones(client: AsyncClient) -> None:
    back, front = Box(40, 40, 40, 30), Box(60, 50, 40, 30)
    other = noisy_photo(40, 30, 8)
    task = Background(encoded(CUP), encoded(FULL), back, [Product(encoded(other), encoded(FULL), front)])
    best = (await client.generate(task, **QUICK, output_size=SIZE)).best
    picture, receipt = pixels(best), receipt_of(best)
    assert shown(picture, other, FULL, (60, 50)).all()
    covered = np.zeros((30, 40), bool)
    covered[10:, 20:] = True
    assert (shown(picture, CUP, FULL, (40, 40)) == ~covered.ravel()).all()
    assert [each.visible_pixels for each in receipt.products] == [int((~covered).sum()), 1200]
    assert receipt.compared_pixels == int((~covered).sum()) + 1200
    swapped = Background(encoded(other), encoded(FULL), front, [Product(encoded(CUP), encoded(FULL), back)])
    picture = pixels((await client.generate(swapped, **QUICK, output_size=SIZE)).best)
    assert shown(picture, CUP, FULL, (40, 40)).all()


async def test_a_soft_edge_over_another_product_is_known(client: AsyncClient) -> None:
    task = Background(
        PRODUCT,
        encoded(np.full_like(HARD_MASK, 255)),
        Box(0, 0, WIDTH, HEIGHT),
        [Product(rgba(CUP, CUP_MASK), None, Box(20, 10, *cut(CUP_MASK)[2:]))],
    )
    best = (await client.generate(task, **QUICK, output_size=SIZE)).best
    receipt = receipt_of(best)
    # What lies under the edge is known too, so no model has made any of it.
    assert (receipt.max_difference, receipt.compared_pixels) == (0, WIDTH * HEIGHT)
    assert [each.mask_source for each in receipt.products] == [MaskSource.REQUEST, MaskSource.ALPHA]
    assert receipt.products[1].visible_pixels == (CUP_MASK == 255).sum()


async def test_products_without_masks_are_segmented_each(client: AsyncClient) -> None:
    y, x = np.mgrid[:128, :128]
    photos = []
    for colour in ((180, 40, 30), (30, 60, 180)):
        plain = np.full((128, 128, 3), 235, np.uint8)
        plain[np.hypot(x - 64, y - 64) < 36] = colour
        photos.append(encoded(plain))
    task = Background(photos[0], None, Box(0, 20, 70, 70), [Product(photos[1], None, Fit(0.3, "right"))])
    best = (await client.generate(task, **QUICK, output_size=SIZE)).best
    receipt = receipt_of(best)
    assert [each.mask_source for each in receipt.products] == [MaskSource.SEGMENTER] * 2
    assert receipt.max_difference == 0
    picture = pixels(best)
    for index, each in enumerate(receipt.products):
        middle = picture[each.box.y + each.box.height // 2, each.box.x + each.box.width // 2].astype(int)
        assert middle[2 * index] > middle[2 - 2 * index], "each has its own mask and colours"


async def test_layers_of_the_pictures_size_need_no_placement(client: AsyncClient) -> None:
    layer = np.zeros_like(HARD_MASK)
    layer[2:12, 3:13] = 255
    other = noisy_photo(WIDTH, HEIGHT, 9)
    best = (await client.generate(Background(PRODUCT, MASK, None, [Product(rgba(other, layer))]), **QUICK)).best
    assert shown(pixels(best), other, layer, (3, 2)).all()
    assert receipt_of(best).products[1].box == Box(3, 2, 10, 10)


def more(*products: Product, **fields: Any) -> Background:
    return Background(PRODUCT, MASK, more_products=list(products), **fields)


CUP_PRODUCT = Product(encoded(CUP), encoded(FULL), Box(10, 10, 40, 30))
SMALL = Box(0, 0, 9, 9)
LARGE = Product(encoded(np.zeros((2400, 3000, 3), np.uint8)), None, SMALL)
PLACE, MASKED = Reason.INVALID_PLACEMENT, Reason.INVALID_MASK
REFUSED: dict[str, tuple[Background, dict[str, Any], Reason, str]] = {
    "a box outside": (more(Product(encoded(CUP), None, Box(80, 0, 40, 30))), {}, PLACE, "[0].placement.box"),
    "a box of nothing": (more(CUP_PRODUCT, Product(CUP, None, Box(0, 0, 0, 9))), {}, PLACE, "[1].placement.box"),
    "a box too small": (more(Product(CUP, encoded(FULL), Box(0, 0, 3, 3))), {}, PLACE, "[0].placement"),
    "no box": (more(Product(CUP, encoded(FULL))), {}, Reason.MISSING_FIELD, "[0].placement"),
    "no box with a size": (more(Product(PRODUCT, MASK)), {"output_size": SIZE}, Reason.MISSING_FIELD, "[0].placement"),
    "no photo": (more(Product(b"", None, SMALL)), {}, Reason.MISSING_FIELD, "[0].product"),
    "no picture": (more(Product(b"no picture", None, SMALL)), {}, Reason.INVALID_PICTURE, "[0].product"),
    "an empty mask": (more(Product(CUP, encoded(np.zeros_like(FULL)), SMALL)), {}, MASKED, "[0].mask"),
    "a faint mask": (more(Product(CUP, encoded(np.full_like(FULL, 200)), SMALL)), {}, MASKED, "[0].mask"),
    "a mask of another size": (more(Product(CUP, MASK, SMALL)), {}, MASKED, "[0].mask"),
    "bad padding": (more(Product(CUP, None, Fit(0.5))), {}, PLACE, "[0].placement.fit.padding"),
    "one that is covered": (more(CUP_PRODUCT, CUP_PRODUCT), {}, PLACE, "[0].placement"),
    "too many": (more(*[CUP_PRODUCT] * 8), {}, Reason.OUT_OF_RANGE, ""),
    "too many pixels": (more(LARGE, LARGE, LARGE), {}, Reason.PICTURE_TOO_LARGE, ""),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_cannot_be_placed_is_refused(client: AsyncClient, case: str) -> None:
    task, options, reason, field = REFUSED[case]
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **QUICK, **options)
    assert (caught.value.reason, caught.value.field) == (reason, f"{FIELD}{field}")


async def test_the_number_of_products_is_a_limit_of_the_server(client: AsyncClient) -> None:
    most = (await client.info()).limits.max_products
    boxes = [Product(encoded(CUP), encoded(FULL), Box(10 * i, 0, 8, 6)) for i in range(1, most)]
    best = (await client.generate(more(*boxes), **QUICK)).best
    assert len(receipt_of(best).products) == most
