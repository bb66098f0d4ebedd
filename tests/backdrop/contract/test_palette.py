"""Colours in L*a*b* and their transfer towards a palette."""

from __future__ import annotations

import numpy as np

from backdrop.contract.palette import colours_of, read_palette, to_lab, to_rgb, towards

ALL = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)


def test_lab_is_the_cies_and_comes_back() -> None:
    lab = to_lab(ALL)
    assert np.abs(to_rgb(lab) - ALL).max() < 2e-4
    # White, red and a dark blue, as published tables have them (D65).
    named = colours_of(read_palette(["#fff", "#ff0000", "#000080"]))
    expected = [[100, 0, 0], [53.24, 80.09, 67.20], [12.97, 47.50, -64.70]]
    assert np.abs(named - np.array(expected)).max() < 0.05


def test_every_colour_gets_a_part_of_the_scene() -> None:
    # All of the scene is nearest to the second colour.
    scene = np.random.default_rng(3).uniform(0.6, 0.8, (64, 64, 3)).astype(np.float32)
    colours = colours_of(("#0b3954", "#bfd7ea", "#ff6663"))
    before = np.square(to_lab(scene).reshape(-1, 1, 3) - colours).sum(axis=2)
    assert (before.argmin(axis=1) == 1).mean() > 0.9
    moved = to_lab(towards(scene, np.ones((64, 64), np.float32), colours, 0.7)).reshape(-1, 1, 3)
    after = np.square(moved - colours).sum(axis=2)
    assert (after.min(axis=0) < 0.7 * before.min(axis=0)).all()


def test_the_map_is_smooth_and_goes_a_part_of_the_way() -> None:
    ramp = np.repeat(np.linspace(0, 1, 256, dtype=np.float32)[None, :, None], 3, axis=2)
    weight, colours = np.ones((1, 256), np.float32), colours_of(("#264653", "#e9c46a"))
    whole, half = towards(ramp, weight, colours, 1.0), towards(ramp, weight, colours, 0.5)
    assert np.abs(np.diff(whole, axis=1)).max() < 0.1
    assert np.allclose(to_lab(half), (to_lab(ramp) + to_lab(whole)) / 2, atol=1.0)
    assert np.array_equal(towards(ramp, weight, colours, 0.0).round(3), ramp.round(3))


def test_what_is_known_has_no_say() -> None:
    scene = np.full((8, 8, 3), 0.5, np.float32)
    scene[:4] = (1.0, 0.0, 0.0)
    weight = np.ones((8, 8), np.float32)
    weight[:4] = 0
    colours = colours_of(("#264653", "#e9c46a"))
    only = towards(scene[4:], weight[4:], colours, 0.5)
    assert np.array_equal(towards(scene, weight, colours, 0.5)[4:], only)
    assert np.array_equal(towards(scene, 0 * weight, colours, 0.5), scene)
