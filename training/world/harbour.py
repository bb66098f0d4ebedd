"""The harbour scene: boats on the water between houses and a quay of planks or stone."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import Light, Sky, paint_sky

HULLS = ("red", "blue", "white", "green", "teal", "orange")


def harbour(canvas: Canvas, spec: Spec) -> Light:
    """The far shore, the basin with its boats, and the quay before the viewer."""
    rng = canvas.rng
    level = float(rng.uniform(0.44, 0.50))
    sky = paint_sky(canvas, spec.time, level)
    hills = level - 0.08 * canvas.line(3, 3)
    canvas.over(
        mix(colour(0.26, 0.36, 0.30) * sky.tint, sky.haze, 0.45) * texture.foliage(canvas, 30), canvas.below(hills)
    )
    _houses(canvas, spec, sky, level, 11 if spec.detail == "houses" else 5)
    if spec.detail == "lighthouse":
        _lighthouse(canvas, spec, sky, level)
    water = canvas.mirror(level, 0.014) * 0.62 + colour(0.06, 0.26, 0.36) * sky.tint * 0.38
    canvas.over(water * (0.45 + 0.55 * texture.waves(canvas, level)), canvas.edge(level - canvas.v))
    for n in range(4 if spec.detail == "boats" else 2):
        side = -1.0 if n % 2 else 1.0
        _boat(canvas, sky, 0.5 + side * float(rng.uniform(0.12, 0.42)), level + 0.03 + 0.045 * n, 0.6 + 0.22 * n)
    quay = 0.70 + float(rng.uniform(-0.03, 0.03))
    front = canvas.edge(quay - canvas.v)
    if spec.detail == "pier":
        g = texture.ground(canvas, quay - 0.25)
        planks = texture.wood(canvas, g.x * 2, g.z * 6)
        canvas.over(colour(0.56, 0.44, 0.33) * (0.25 + 0.75 * sky.tint) * planks, front)
    else:
        stone = colour(0.58, 0.56, 0.53) * (0.25 + 0.75 * sky.tint)
        canvas.over(stone * texture.cobbles(canvas, quay - 0.2) * texture.plaster(canvas, 0.2), front)
    canvas.over(colour(0.30, 0.27, 0.25) * (0.25 + 0.75 * sky.tint), canvas.box(-0.1, 1.1, quay - 0.006, quay + 0.012))
    for u in (0.10, 0.90):
        _bollard(canvas, sky, u + float(rng.uniform(-0.05, 0.05)), quay + 0.03)
    return sky.light


def _houses(canvas: Canvas, spec: Spec, sky: Sky, level: float, count: int) -> None:
    """Gabled fronts along the far shore, their windows lit after dark."""
    rng = canvas.rng
    lit = spec.time in ("night", "sunset")
    walls = texture.plaster(canvas, 0.25)
    for n in range(count):
        u = (n + float(rng.uniform(0.3, 0.7))) / count
        wide, tall = float(rng.uniform(0.028, 0.045)), float(rng.uniform(0.09, 0.16))
        hue = mix(list(COLOURS.values())[int(rng.integers(len(COLOURS)))], (0.95, 0.92, 0.86), 0.45)
        front = mix(hue * (0.2 + 0.8 * sky.tint), sky.haze, 0.2)
        canvas.over(front * walls, canvas.box(u - wide, u + wide, level - tall, level))
        rise = (level - tall + 0.004 - canvas.v) / 0.05
        gable = canvas.edge(np.abs(canvas.u - u) - (wide + 0.008) * (1 - rise)) * ((rise > 0) & (rise < 1))
        canvas.over(colour(0.50, 0.24, 0.18) * (0.2 + 0.8 * sky.tint), gable)
        pane = colour(1.0, 0.82, 0.46) if lit else colour(0.30, 0.36, 0.44) * (0.3 + 0.7 * sky.tint)
        for row in range(int(tall / 0.035)):
            for side in (-0.5, 0.5):
                v = level - tall + 0.02 + 0.035 * row
                if v < level - 0.02:
                    canvas.over(pane, canvas.box(u + side * wide - 0.006, u + side * wide + 0.006, v, v + 0.016))


def _lighthouse(canvas: Canvas, spec: Spec, sky: Sky, level: float) -> None:
    """A tower with red bands on a rock."""
    u = 0.5 - np.sign(sky.sun_u - 0.5) * float(canvas.rng.uniform(0.22, 0.34))
    rise = np.clip((level - canvas.v) / 0.32, 0, 1)
    tower = canvas.edge(np.abs(canvas.u - u) - (0.034 - 0.012 * rise)) * (
        (canvas.v < level) & (canvas.v > level - 0.32)
    )
    bands = smooth(np.sin(canvas.v * 60), -0.1, 0.1)
    across = 1 - 0.25 * (canvas.u - u) / 0.034 * np.sign(0.5 - sky.sun_u)
    paint = colour(0.95, 0.94, 0.92) * bands + colour(0.80, 0.16, 0.14) * (1 - bands)
    canvas.over(paint * (0.2 + 0.8 * sky.tint) * across, tower)
    canvas.over(colour(0.15, 0.16, 0.18), canvas.box(u - 0.026, u + 0.026, level - 0.336, level - 0.322))
    lamp = colour(1.0, 0.92, 0.62) if spec.time != "day" else colour(0.75, 0.85, 0.90)
    canvas.over(lamp, canvas.box(u - 0.014, u + 0.014, level - 0.366, level - 0.336))
    if spec.time in ("night", "sunset"):
        canvas.add(lamp, 0.5 * canvas.glow(u, level - 0.35, 0.08))
        canvas.add(lamp, 0.18 * canvas.glow(u, level - 0.35, 0.5, 0.03))
    canvas.over(colour(0.40, 0.28, 0.24) * sky.tint, canvas.disc(u, level - 0.37, 0.022, 0.014))
    stone = colour(0.40, 0.38, 0.36) * sky.tint * texture.rock(canvas, 30, 30)
    canvas.over(stone, canvas.disc(u, level, 0.10, 0.03) * (canvas.v < level + 0.004))


def _boat(canvas: Canvas, sky: Sky, u: float, v: float, scale: float) -> None:
    """A fishing boat: hull, stripe, cabin and mast, with its reflection."""
    rng = canvas.rng
    light = 0.22 + 0.78 * sky.tint
    hue = as_colour(COLOURS[HULLS[int(rng.integers(len(HULLS)))]])
    wide, tall = 0.085 * scale, 0.045 * scale
    drop = (canvas.v - (v - tall)) / tall
    shape = canvas.edge(np.abs(canvas.u - u) - wide * (1 - 0.35 * drop**2)) * ((drop > 0) & (drop < 1))
    canvas.over(hue * light * (1.1 - 0.4 * drop), shape)
    canvas.over(colour(0.96, 0.95, 0.92) * light, shape * ((drop > 0.08) & (drop < 0.26)))
    cabin = 0.3 * wide
    canvas.over(colour(0.93, 0.91, 0.86) * light, canvas.box(u - cabin, u + cabin, v - 1.9 * tall, v - tall))
    canvas.over(
        colour(0.22, 0.30, 0.38) * light, canvas.box(u - 0.7 * cabin, u + 0.7 * cabin, v - 1.7 * tall, v - 1.35 * tall)
    )
    canvas.over(
        colour(0.36, 0.26, 0.18) * light,
        canvas.box(u - 0.004 * scale, u + 0.004 * scale, v - 4.2 * tall, v - 1.8 * tall),
    )
    below = (canvas.v - v) / (1.3 * tall)
    ripple = 0.4 + 0.6 * canvas.noise(8, 70)
    shade = (
        canvas.edge(np.abs(canvas.u - u) - wide * 0.8)
        * ((below > 0) & (below < 1))
        * (1 - np.clip(below, 0, 1))
        * ripple
    )
    canvas.over(hue * light * 0.6, 0.7 * shade)


def _bollard(canvas: Canvas, sky: Sky, u: float, v: float) -> None:
    """An iron post for ropes."""
    iron = colour(0.16, 0.17, 0.20) * (0.4 + 0.6 * sky.tint)
    across = 1 + 0.5 * np.clip((canvas.u - u) / 0.02, -1, 1) * np.sign(sky.sun_u - 0.5)
    canvas.over(iron * across, canvas.box(u - 0.016, u + 0.016, v - 0.05, v + 0.02))
    canvas.over(iron * across * 1.3, canvas.disc(u, v - 0.052, 0.026, 0.013))
