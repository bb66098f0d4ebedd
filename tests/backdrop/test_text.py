"""Values of flags: placements with space by side, and further products."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backdrop import Box, Fit, InvalidRequestError, Sides
from backdrop._text import parse_placement, parse_products


def placed(**flags: Any) -> Fit | Box | None:
    names = ("padding", "margin", "align", "valign", "keep_size", "snap", "box")
    return parse_placement("background.placement", *(flags.get(name) for name in names))


def test_space_is_one_number_or_one_for_each_side() -> None:
    assert placed() is None
    assert placed(padding="0.2") == Fit(0.2)
    assert placed(padding="0.1,0.2,0.3,0.4", margin="0.05") == Fit(
        padding_sides=Sides(0.1, 0.2, 0.3, 0.4), margin=Sides(0.05, 0.05, 0.05, 0.05)
    )
    assert placed(snap="cut, left", keep_size=True) == Fit(keep_size=True, snap=("cut", "left"))
    assert placed(box="1,2,3,4") == Box(1, 2, 3, 4)


@pytest.mark.parametrize("flags", [{"padding": "wide"}, {"margin": "1,2"}, {"box": "1,2,3,4", "snap": "cut"}])
def test_what_is_no_placement_is_refused(flags: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        placed(**flags)
    assert caught.value.field.startswith("background.placement.")


def test_products_have_a_box_and_perhaps_a_mask(tmp_path: Path) -> None:
    plus = tmp_path / "salt+pepper.png"
    plus.touch()
    products = parse_products(
        "background.more_products", ["cup.png@1,2,3,4", "cup.png+mask.png@1,2,3,4", f"{plus}@0,0,9,9"]
    )
    assert products is not None
    assert [(each.product, each.mask) for each in products] == [
        (Path("cup.png"), None),
        (Path("cup.png"), Path("mask.png")),
        (plus, None),
    ]
    assert products[0].placement == Box(1, 2, 3, 4)
    with pytest.raises(InvalidRequestError) as caught:
        parse_products("background.more_products", ["cup.png"])
    assert caught.value.field == "background.more_products[0].placement.box"
