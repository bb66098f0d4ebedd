"""The garden scene: a lawn between flower beds and hedges, with a path, a fountain, a pergola or roses."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import Light, Sky, paint_sky

BLOSSOMS = ("red", "yellow", "pink", "white", "purple", "orange")


def garden(canvas: Canvas, spec: Spec) -> Light:
    """Trees behind a hedge, beds at both sides, grass before the viewer."""
    rng = canvas.rng
    level = float(rng.uniform(0.50, 0.57))
    sky = paint_sky(canvas, spec.time, level)
    leaf = mix((0.14, 0.36, 0.15), (0.26, 0.44, 0.13), float(rng.random())) * sky.tint
    trees = level - 0.10 - 0.20 * canvas.line(4, 3)
    canvas.over(mix(leaf, sky.haze, 0.35) * texture.foliage(canvas, 20), canvas.below(trees, 3.0))
    top = level - (0.13 if spec.detail == "hedges" else 0.07) + 0.006 * (canvas.line(30, 2) - 0.5)
    hedge = canvas.below(top, 2.0)
    fall = np.clip((canvas.v - top) / 0.10, 0, 1)
    canvas.over(leaf * 0.85 * texture.foliage(canvas, 48) * (1.15 - 0.4 * fall), hedge)
    lawn = mix((0.26, 0.50, 0.16), (0.36, 0.56, 0.20), float(rng.random())) * sky.tint
    canvas.over(lawn * texture.grass(canvas, level), canvas.edge(level - canvas.v))
    if spec.detail == "fountain":
        _path(canvas, sky, level)
    hue = as_colour(COLOURS[BLOSSOMS[int(rng.integers(len(BLOSSOMS)))]])
    for side in (-1.0, 1.0):
        _bed(canvas, sky, leaf, hue, level, side, spec.detail == "roses")
    if spec.detail == "fountain":
        _fountain(canvas, sky, level)
    if spec.detail == "pergola":
        _pergola(canvas, sky, leaf, level)
    return sky.light


def _path(canvas: Canvas, sky: Sky, level: float) -> None:
    """Bricks that run to the hedge."""
    near = np.clip((canvas.v - level) / (1 - level), 0, 1)
    reach = smooth(0.025 + 0.20 * near - np.abs(canvas.u - 0.5), -0.006, 0.006) * (canvas.v > level)
    g = texture.ground(canvas, level)
    tones, mortar = texture.brick(canvas, g.x * 7, g.z * 9)
    stone = colour(0.66, 0.46, 0.36) * (0.25 + 0.75 * sky.tint)
    seen = np.clip((0.5 - g.pixel * 9) / 0.4, 0, 1)
    canvas.over(stone * (1 + (tones - 1) * seen) * (1 - 0.35 * mortar * seen), reach)


def _bed(canvas: Canvas, sky: Sky, leaf: Array, hue: Array, level: float, side: float, roses: bool) -> None:
    """A bed along one side: leaves with blossoms, smaller with distance."""
    rng = canvas.rng
    near = np.clip((canvas.v - level + 0.04) / (1 - level), 0, 1)
    border = 0.5 + side * (0.16 + 0.26 * near) + 0.012 * (canvas.line(14, 2) - 0.5)
    inside = smooth(side * (canvas.u - border), -0.006, 0.008) * (canvas.v > level - 0.03)
    canvas.over(leaf * 1.05 * texture.foliage(canvas, 34) * (0.7 + 0.45 * near), inside)
    for _ in range(70 if roses else 38):
        depth = float(rng.random()) ** 0.7
        v = level + depth * (0.98 - level)
        u = 0.5 + side * float(rng.uniform(0.18 + 0.26 * depth, 0.56))
        radius = (0.006 + 0.018 * depth) * (1.35 if roses else 1.0)
        tone = float(rng.uniform(0.75, 1.1))
        petals = mix(hue, (1, 1, 1), float(rng.uniform(0, 0.3))) * (0.25 + 0.75 * sky.tint) * tone
        canvas.over(petals, canvas.disc(u, v, radius, radius * 0.9))
        canvas.over(petals * 0.6, canvas.disc(u, v + radius * 0.15, radius * 0.35, radius * 0.3))


def _fountain(canvas: Canvas, sky: Sky, level: float) -> None:
    """A basin, a column, a bowl and falling water."""
    stone = colour(0.74, 0.72, 0.68) * (0.25 + 0.75 * sky.tint) * texture.plaster(canvas, 0.3)
    u, base = 0.5 + float(canvas.rng.uniform(-0.08, 0.08)), level + 0.10
    canvas.over(stone * 0.8, canvas.disc(u, base, 0.17, 0.045))
    canvas.over(colour(0.25, 0.48, 0.58) * sky.tint, canvas.disc(u, base - 0.006, 0.15, 0.034))
    canvas.over(stone, canvas.box(u - 0.016, u + 0.016, base - 0.15, base))
    canvas.over(stone * 0.9, canvas.disc(u, base - 0.15, 0.075, 0.020))
    fall = np.exp(-(((np.abs(canvas.u - u) - 0.05) / 0.018) ** 2)) * canvas.box(u - 0.1, u + 0.1, base - 0.15, base)
    canvas.over(colour(0.92, 0.96, 1.0) * (0.35 + 0.65 * sky.tint), 0.7 * fall * texture.bark(canvas, 120, 8))


def _pergola(canvas: Canvas, sky: Sky, leaf: Array, level: float) -> None:
    """Wooden posts and beams with climbing leaves."""
    timber = colour(0.48, 0.33, 0.20) * (0.25 + 0.75 * sky.tint) * texture.bark(canvas, 120, 10)
    for u, scale in ((0.08, 1.0), (0.92, 1.0), (0.27, 0.55), (0.73, 0.55)):
        canvas.over(
            timber, canvas.box(u - 0.020 * scale, u + 0.020 * scale, 0.10 + 0.14 * (1 - scale), level + 0.2 * scale)
        )
    for n in range(4):
        v = 0.07 + 0.055 * n
        wide = 0.50 - 0.07 * n
        canvas.over(timber * 0.9, canvas.box(0.5 - wide, 0.5 + wide, v, v + 0.022 - 0.003 * n))
    vine = smooth(canvas.clouds(9, 9, 3), 0.50, 0.62) * np.clip(1 - canvas.v / 0.32, 0, 1)
    canvas.over(leaf * 1.1 * texture.foliage(canvas, 40), vine * 0.95)
