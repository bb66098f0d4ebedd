"""Borders: where they lie, how far they change, and that work in tiles changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backdrop.contract import arrays
from backdrop.contract.arrays import Bytes
from backdrop.contract.borders import border_band, edge_weight, relit
from backdrop.contract.canvas import Border
from tests.pictures import ellipse_mask, noisy_photo

WIDTH, HEIGHT = 80, 70
PHOTO = noisy_photo(WIDTH, HEIGHT)


def block(left: int = 20, right: int = 60) -> Bytes:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[15:55, left:right] = 255
    return mask


def border_of(product: Bytes, width: int, picture: Bytes = PHOTO, **amounts: Any) -> Border:
    band = border_band(product, width)
    if amounts.get("light"):
        band = np.where(product > 0, 255, 0).astype(np.uint8)
    return Border(picture, np.zeros_like(product), band, product, width, amounts.pop("strength", 1.0), **amounts)


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_the_weight_falls_from_the_edge_to_nothing_at_the_width(width: int) -> None:
    row = edge_weight(block(), width)[35, 20:40]
    assert row[0] > 0.4
    assert (np.diff(row) <= 0).all()
    assert row[width - 1] >= 0
    assert not row[width:].any()
    assert not edge_weight(block(), width)[block() == 0].any()


def test_a_picture_s_edge_is_no_border() -> None:
    assert not edge_weight(block(0, WIDTH), 4)[35].any()


def test_soft_edges_weigh_by_their_opacity() -> None:
    product = block()
    product[:, 20] = 51
    weight = edge_weight(product, 4)
    assert weight[35, 20] == pytest.approx(0.2)


def test_flat_colours_meet_half_way_at_half_strength() -> None:
    product = block()
    flat = np.where(product[..., None] == 255, np.uint8(40), np.uint8(200)).repeat(3, axis=2)
    entire, half = (relit(flat, border_of(product, 6, strength=strength)).astype(int) for strength in (1.0, 0.5))
    assert entire[35, 20, 0] > 40 + 0.6 * 160
    assert half[35, 20, 0] - 40 == pytest.approx((entire[35, 20, 0] - 40) / 2, abs=1)
    assert (np.diff(entire[35, 20:40, 0]) <= 0).all()
    assert (entire[35, 26:54] == 40).all()


@pytest.mark.parametrize("light", [0.0, 0.7])
def test_tiles_make_what_the_whole_makes(monkeypatch: pytest.MonkeyPatch, light: float) -> None:
    product = ellipse_mask(WIDTH, HEIGHT, soft=True)
    border = border_of(product, 5, light=light)
    whole = relit(PHOTO, border)
    monkeypatch.setattr(arrays, "_TILE", 17)
    assert np.array_equal(border_band(product, 5), border_of(product, 5).band)
    assert np.array_equal(relit(PHOTO, border), whole)


@pytest.mark.parametrize("light", [0.0, 1.0])
def test_only_the_band_changes(light: float) -> None:
    border = border_of(ellipse_mask(WIDTH, HEIGHT), 5, light=light)
    picture = relit(PHOTO, border)
    assert np.array_equal(picture[border.band == 0], PHOTO[border.band == 0])
    assert not np.array_equal(picture, PHOTO)


def test_light_is_the_scene_s_and_plain_white_changes_nothing() -> None:
    product = block()

    def lit(scene: tuple[int, int, int], light: float = 1.0) -> npt.NDArray[np.int64]:
        picture = np.where(product[..., None] == 255, 120, np.array(scene)).astype(np.uint8)
        result = relit(picture, border_of(product, 4, picture, strength=0.0, light=light))
        return np.asarray(result[35, 40], np.int64)

    assert lit((188, 188, 188)) == pytest.approx(120, abs=1)  # one half in linear values
    red, green, blue = lit((230, 188, 100))
    assert red > 120 > blue
    assert green == pytest.approx(120, abs=1)
    assert lit((20, 20, 20)).max() < 120
    assert lit((20, 20, 20), 0.5).max() > lit((20, 20, 20)).max() > 30
    assert relit(PHOTO, border_of(np.full_like(product, 255), 4, light=1.0)).shape == PHOTO.shape
