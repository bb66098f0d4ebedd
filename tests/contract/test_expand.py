"""Expand: the picture stays to the last bit, wherever it lies in the larger one."""

from __future__ import annotations

from typing import Any

import pytest

from backdrop import AsyncClient, Box, Expand, HorizontalAlignment, InvalidRequestError, Margins, Reason
from tests.contract.photos import HEIGHT, PHOTO, PRODUCT, QUICK, WIDTH, pixels


@pytest.mark.parametrize(
    ("fields", "options", "size", "corner"),
    [
        ({"margins": Margins(left=8, bottom=16)}, {}, (WIDTH + 8, HEIGHT + 16), (8, 0)),
        ({"aspect_ratio": (1, 1)}, {}, (WIDTH, WIDTH), (0, (WIDTH - HEIGHT) // 2)),
        ({"horizontal": HorizontalAlignment.RIGHT}, {"output_size": (128, 64)}, (128, 64), (32, 0)),
        ({"box": Box(4, 6, WIDTH, HEIGHT)}, {"output_size": (128, 96)}, (128, 96), (4, 6)),
    ],
)
async def test_the_picture_is_exact_in_the_larger_one(
    client: AsyncClient,
    fields: dict[str, Any],
    options: dict[str, Any],
    size: tuple[int, int],
    corner: tuple[int, int],
) -> None:
    result = await client.generate(Expand(PRODUCT, **fields), **QUICK, **options)
    picture, (x, y) = pixels(result.best), corner
    assert result.settings.output_size == size == result.best.image().size
    assert (picture[y : y + HEIGHT, x : x + WIDTH] == PHOTO).all()
    receipt = result.best.receipt
    assert receipt is not None
    assert (receipt.max_difference, receipt.compared_pixels) == (0, WIDTH * HEIGHT)
    assert (receipt.known_box, receipt.unscaled) == (Box(x, y, WIDTH, HEIGHT), True)


async def test_the_prompt_may_be_left_out(client: AsyncClient) -> None:
    result = await client.generate(Expand(PRODUCT, Margins(right=9)), **{**QUICK, "prompt": ""})
    assert len(result.pictures) == 1


@pytest.mark.parametrize(
    ("task", "options", "reason", "field"),
    [
        (Expand(PRODUCT), {}, Reason.MISSING_FIELD, "expand.margins"),
        (Expand(PRODUCT, Margins()), {}, Reason.INVALID_SIZE, "expand.margins"),
        (Expand(PRODUCT, Margins(right=8192)), {}, Reason.INVALID_SIZE, "expand.margins"),
        (Expand(PRODUCT, Margins(9), (1, 1)), {}, Reason.FIELD_NOT_TAKEN, "expand.aspect_ratio"),
        (Expand(PRODUCT, Margins(9)), {"output_size": (200, 200)}, Reason.FIELD_NOT_TAKEN, "delivery.size"),
        (Expand(PRODUCT), {"output_size": (WIDTH, HEIGHT)}, Reason.INVALID_SIZE, "delivery.size"),
        (Expand(b"no picture", Margins(9)), {}, Reason.INVALID_PICTURE, "expand.picture"),
    ],
)
async def test_what_cannot_be_expanded_is_refused(
    client: AsyncClient, task: Expand, options: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(task, **{**QUICK, **options})
    assert (caught.value.reason, caught.value.field) == (reason, field)
