"""Textures: factors about 1, detail near the viewer, smoothness far away, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from training.world import texture
from training.world.body import Body
from training.world.canvas import Array, Canvas
from training.world.lettering import NAMES, lettering
from training.world.sky import Light

GROUNDS: dict[str, Callable[[Canvas, float], Array]] = {
    "sand": texture.sand,
    "grass": texture.grass,
    "snow": texture.drifts,
    "water": texture.waves,
    "cobbles": texture.cobbles,
}
SURFACES: dict[str, Callable[[Canvas], Array]] = {
    "rock": texture.rock,
    "foliage": texture.foliage,
    "bark": texture.bark,
    "plaster": texture.plaster,
}


def canvas(seed: int = 3, size: int = 128) -> Canvas:
    return Canvas(size, np.random.default_rng(seed))


@pytest.mark.parametrize("name", GROUNDS)
def test_a_ground_has_detail_before_the_viewer_and_little_far_away(name: str) -> None:
    factor = GROUNDS[name](canvas(), 0.4)
    assert factor.shape == (128, 128)
    assert factor.dtype == np.float32
    assert 0.75 < factor[60:].mean() < 1.2
    assert factor[90:].std() > 0.01
    assert np.abs(np.diff(factor[53:56], axis=1)).mean() < np.abs(np.diff(factor[110:], axis=1)).mean()


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_has_detail_everywhere(name: str) -> None:
    factor = SURFACES[name](canvas())
    assert 0.75 < factor.mean() < 1.2
    for rows in (slice(0, 40), slice(88, 128)):
        assert factor[rows].std() > 0.005


def test_the_same_seed_gives_the_same_texture() -> None:
    assert (texture.rock(canvas(4)) == texture.rock(canvas(4))).all()
    assert not (texture.rock(canvas(4)) == texture.rock(canvas(5))).all()


def test_an_octave_finer_than_a_pixel_is_left_out() -> None:
    x = np.tile(np.linspace(0, 400, 64, dtype=np.float32), (64, 1))
    assert np.abs(texture.fractal(np.random.default_rng(0), x, x.T, 400 / 64)).max() == 0


def test_bricks_have_mortar_between_them() -> None:
    axis = np.linspace(0, 4, 128, dtype=np.float32)
    tones, mortar = texture.brick(canvas(), np.tile(axis, (128, 1)), np.tile(axis[:, None], (1, 128)))
    assert 0.1 < mortar.mean() < 0.5
    assert tones.std() > 0.03


def test_a_name_is_printed_within_its_width() -> None:
    body = Body(200, 1.0, Light(1.0, np.ones((3, 1, 1), np.float32), 0.4), np.random.default_rng(1))
    inside = lettering(body, 0, 0.5, 0.6) < 0
    assert 0.02 < inside.mean() < 0.2
    columns = np.broadcast_to(body.x, inside.shape)[inside]
    assert columns.min() > -0.31
    assert columns.max() < 0.31
    assert set("".join(NAMES)) <= set("ABCEHIKLMNOPRSTUVZ")
