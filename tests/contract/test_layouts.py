"""Layouts: several sizes, shapes and places of the same products from one request; each picture says which it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import (
    AsyncClient,
    Background,
    Box,
    Fit,
    InvalidRequestError,
    Layout,
    Product,
    Reason,
    StepProgress,
    VariantFinished,
)
from tests.contract.photos import HARD_MASK, HEIGHT, MASK, PHOTO, PRODUCT, QUICK, WIDTH, box_of, pixels, receipt_of
from tests.pictures import encoded

_, _, CUT_WIDTH, CUT_HEIGHT = box_of(HARD_MASK)
LAYOUTS = [
    Layout(),
    Layout((128, 128), placement=Box(8, 80, CUT_WIDTH, CUT_HEIGHT)),
    Layout(aspect_ratio=(3, 1), placement=Fit(0.0, "right")),
    Layout((64, 200)),
]
TASK = Background(PRODUCT, MASK, layouts=LAYOUTS)


async def test_every_layout_has_its_size_and_its_place(client: AsyncClient) -> None:
    result = await client.generate(TASK, **QUICK)
    assert [picture.layout for picture in result.pictures] == [0, 1, 2, 3]
    assert [picture.image().size for picture in result.pictures] == [(WIDTH, HEIGHT), (128, 128), (192, 64), (64, 200)]
    boxes = [receipt_of(picture).known_box for picture in result.pictures]
    assert boxes[0] == Box(*box_of(HARD_MASK))
    assert boxes[1] == Box(8, 80, CUT_WIDTH, CUT_HEIGHT)
    assert (boxes[2].x + boxes[2].width, boxes[2].height) == (192, 64)
    assert 0.15 * 64 - 1 <= boxes[3].x <= 0.15 * 64 + 1
    for picture in result.pictures:
        assert receipt_of(picture).exact
    x, y, width, height = box_of(HARD_MASK)
    inside = HARD_MASK[y : y + height, x : x + width] == 255
    there = pixels(result.pictures[1])[80 : 80 + height, 8 : 8 + width]
    assert np.array_equal(there[inside], PHOTO[y : y + height, x : x + width][inside])


async def test_selection_counts_for_each_layout(client: AsyncClient) -> None:
    task = Background(PRODUCT, MASK, layouts=LAYOUTS[:2])
    generation = client.generate(task, **QUICK, variants=3, top_k=2, seed=5)
    events = [event async for event in generation]
    result = await generation
    assert sorted(event.variant for event in events if isinstance(event, VariantFinished)) == list(range(6))
    assert {event.variant for event in events if isinstance(event, StepProgress)} == set(range(6))
    assert [(picture.layout, picture.rank) for picture in result.pictures] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(picture.variant // 3 == picture.layout for picture in result.pictures)
    one = (await client.generate(Background(PRODUCT, MASK), **QUICK, variants=3, seed=5)).usage
    assert result.usage.row_steps == 2 * one.row_steps == 12
    # The same seed makes the same picture in a request of its own.
    last = result.pictures[3]
    alone = Background(PRODUCT, MASK, LAYOUTS[1].placement)
    again = await client.generate(alone, **QUICK, seed=last.seed, output_size=(128, 128))
    assert again.best.data == last.data


async def test_placements_are_chosen_where_none_are_given(client: AsyncClient) -> None:
    task = Background(PRODUCT, MASK, automatic_placements=7)
    result = await client.generate(task, **QUICK, output_size=(128, 96))
    boxes = [receipt_of(picture).known_box for picture in result.pictures]
    assert [picture.layout for picture in result.pictures] == list(range(7))
    assert len(set(boxes)) == 7
    assert all(receipt_of(picture).max_difference == 0 for picture in result.pictures)
    middles = [box.x + box.width / 2 for box in boxes]
    assert middles[1] < middles[0] < middles[2]
    fewer = await client.generate(Background(PRODUCT, MASK, automatic_placements=2), **QUICK, output_size=(128, 96))
    assert [receipt_of(picture).known_box for picture in fewer.pictures] == boxes[:2]


async def test_a_product_that_is_cut_off_stays_at_the_border(client: AsyncClient) -> None:
    cut = np.zeros_like(HARD_MASK)
    cut[20:, 30:60] = 255
    result = await client.generate(Background(PRODUCT, encoded(cut), automatic_placements=7), **QUICK)
    for picture in result.pictures:
        box = receipt_of(picture).known_box
        assert box.y + box.height == HEIGHT


MORE = [Product(PRODUCT, MASK, Box(0, 0, 30, 30))]
SIZE, PLACE, EXCLUDED = Reason.INVALID_SIZE, Reason.INVALID_PLACEMENT, Reason.FIELD_NOT_TAKEN
REFUSED: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "too many layouts": ({"layouts": [Layout()] * 9}, Reason.OUT_OF_RANGE, "layouts"),
    "a size too small": ({"layouts": [Layout(), Layout((63, 64))]}, SIZE, "layouts[1].size.width"),
    "no shape": ({"layouts": [Layout(aspect_ratio=(0, 1))]}, Reason.OUT_OF_RANGE, "layouts[0].aspect_ratio.width"),
    "a shape too large": ({"layouts": [Layout(aspect_ratio=(100, 1))]}, SIZE, "layouts[0].aspect_ratio"),
    "a box outside": ({"layouts": [Layout(placement=Box(90, 0, 9, 9))]}, PLACE, "layouts[0].placement.box"),
    "its box outside one": (
        {"placement": Box(60, 0, 30, 30), "layouts": [Layout(), Layout((64, 64))]},
        PLACE,
        "placement.box",
    ),
    "bad padding": ({"layouts": [Layout(placement=Fit(0.5))]}, PLACE, "layouts[0].placement.fit.padding"),
    "too many places": ({"automatic_placements": 8}, Reason.OUT_OF_RANGE, "automatic_placements"),
    "places and layouts": ({"automatic_placements": 2, "layouts": [Layout()]}, EXCLUDED, "layouts"),
    "places and a place": ({"automatic_placements": 2, "placement": Fit()}, EXCLUDED, "placement"),
    "places of several": ({"automatic_placements": 2, "more_products": MORE}, EXCLUDED, "more_products"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_no_layout_is_refused(client: AsyncClient, case: str) -> None:
    fields, reason, field = REFUSED[case]
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Background(PRODUCT, MASK, **fields), **QUICK)
    assert (caught.value.reason, caught.value.field) == (reason, f"background.{field}")
