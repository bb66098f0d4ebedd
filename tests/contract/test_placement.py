"""Placement in detail: padding and margins by side, snapping, the product's own size, and an area."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backdrop import AsyncClient, Background, Box, Fit, InvalidRequestError, Reason, Sides, Snap
from tests.contract.photos import HARD_MASK, MASK, PHOTO, PRODUCT, QUICK, box_of, pixels, receipt_of
from tests.pictures import encoded

SIZE = (200, 100)
CUT = np.zeros_like(HARD_MASK)
CUT[24:, 30:70] = 255
"""40 × 40 pixels, cut off by the photo's lower edge."""
WIDE = np.zeros_like(HARD_MASK)
WIDE[40:, :] = 255
"""96 × 24 pixels, cut off on the left, below and on the right."""
PLACED: dict[str, tuple[np.ndarray[Any, np.dtype[np.uint8]], Fit, tuple[int, int, int, int]]] = {
    "padding by side": (CUT, Fit(padding_sides=Sides(0.6, 0.1, 0.1, 0.1)), (85, 10, 80, 80)),
    "one side alone": (CUT, Fit(0.1, "right", padding_sides=Sides(top=0.5)), (150, 50, 40, 40)),
    "a margin around the padding": (CUT, Fit(0.1, "left", margin=Sides(left=0.2, bottom=0.2)), (30, 10, 60, 60)),
    "snapped where it is cut": (CUT, Fit(0.1, snap=[Snap.CUT]), (55, 10, 90, 90)),
    "a margin stays where it snaps": (CUT, Fit(0.1, snap=["cut"], margin=Sides(bottom=0.1)), (60, 10, 80, 80)),
    "snapped to a side": (CUT, Fit(0.1, "center", "center", snap=["right"]), (120, 10, 80, 80)),
    "snapped to opposite sides": (WIDE, Fit(0.4, snap=["cut"]), (0, 50, 200, 50)),
    "its own size": (CUT, Fit(0.1, "left", "bottom", keep_size=True), (10, 50, 40, 40)),
    "padding gives way to its own size": (CUT, Fit(0.4, keep_size=True), (80, 30, 40, 40)),
    "its own size at a side": (CUT, Fit(0.1, "left", keep_size=True, snap=["cut"]), (10, 60, 40, 40)),
    "trimmed to its outline": (np.full_like(CUT, 255), Fit(0.1, snap=["cut"]), (40, 10, 120, 80)),
    "an area": (CUT, Fit(0.0, "center", "bottom", area=Box(100, 20, 50, 60)), (100, 30, 50, 50)),
}


@pytest.mark.parametrize("case", PLACED)
async def test_the_product_stands_where_the_placement_says(client: AsyncClient, case: str) -> None:
    mask, fit, box = PLACED[case]
    best = (await client.generate(Background(PRODUCT, encoded(mask), fit), **QUICK, output_size=SIZE)).best
    receipt = receipt_of(best)
    assert receipt.known_box == Box(*box)
    assert receipt.max_difference == 0
    assert receipt.unscaled == (box[2:] == box_of(mask)[2:])
    if receipt.unscaled:
        x, y, width, height = box_of(mask)
        there = pixels(best)[box[1] : box[1] + height, box[0] : box[0] + width]
        assert np.array_equal(there, PHOTO[y : y + height, x : x + width])


FIT = "background.placement.fit"
PLACE, UNKNOWN = Reason.INVALID_PLACEMENT, Reason.UNKNOWN_VALUE
REFUSED: dict[str, tuple[Fit, Reason, str]] = {
    "a side out of range": (Fit(padding_sides=Sides(left=1.0)), PLACE, "padding_sides.left"),
    "a side below zero": (Fit(margin=Sides(top=-0.1)), PLACE, "margin.top"),
    "no number": (Fit(margin=Sides(top=float("nan"))), PLACE, "margin.top"),
    "no room": (Fit(padding_sides=Sides(0.5, 0.0, 0.5, 0.0)), PLACE, "padding_sides"),
    "no room within margins": (Fit(0.4, margin=Sides(top=0.2)), PLACE, "margin"),
    "an area outside": (Fit(area=Box(150, 0, 51, 10)), PLACE, "area"),
    "an area of nothing": (Fit(area=Box(0, 0, 0, 10)), PLACE, "area"),
    "its own size in a small area": (Fit(keep_size=True, area=Box(0, 0, 30, 30)), PLACE, "keep_size"),
    "an area too small": (Fit(0.0, area=Box(0, 0, 3, 3)), PLACE, ""),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_no_placement_can_be_is_refused(client: AsyncClient, case: str) -> None:
    fit, reason, field = REFUSED[case]
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Background(PRODUCT, MASK, fit), **QUICK, output_size=SIZE)
    path = f"{FIT}.{field}" if field else "background.placement"
    assert (caught.value.reason, caught.value.field) == (reason, path)


async def test_words_that_are_no_sides_are_refused(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.generate(Background(PRODUCT, MASK, Fit(snap=["left", "middle"])), **QUICK)
    assert (caught.value.reason, caught.value.field) == (UNKNOWN, f"{FIT}.snap[1]")
