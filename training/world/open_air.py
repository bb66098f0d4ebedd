"""The beach, desert and mountain scenes."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, colour, mix, smooth
from training.world.labels import Spec
from training.world.sky import Light, Sky, paint_sky
from training.world.things import cactus, conifers, palm, rocks


def beach(canvas: Canvas, spec: Spec) -> Light:
    """Sea, foam and sand; the sun glitters on the water."""
    rng = canvas.rng
    horizon = float(rng.uniform(0.40, 0.54))
    sky = paint_sky(canvas, spec.time, horizon)
    shore = horizon + float(rng.uniform(0.14, 0.22)) + float(rng.uniform(-0.12, 0.12)) * (canvas.u - 0.5)
    shore = shore + 0.035 * (canvas.line(2, 2) - 0.5)
    depth = np.clip((canvas.v - horizon) / 0.22, 0, 1)
    far, near = (
        ((0.05, 0.32, 0.56), (0.18, 0.68, 0.72)) if rng.random() < 0.6 else ((0.06, 0.26, 0.45), (0.22, 0.56, 0.62))
    )
    water = (colour(*far) * (1 - depth) + colour(*near) * depth) * sky.tint
    water = water * 0.72 + canvas.mirror(horizon, 0.01) * 0.28
    water = water * texture.waves(canvas, horizon)
    canvas.over(water, canvas.edge(horizon - canvas.v))
    glitter = np.exp(-(((canvas.u - sky.sun_u) / (0.05 + 0.28 * (canvas.v - horizon).clip(0))) ** 2))
    sparkle = smooth(canvas.noise(14, 70), 0.45, 0.85)
    strength = {"day": 0.25, "sunset": 0.85, "night": 0.35, "dawn": 0.6}[spec.time]
    canvas.add(sky.sun, strength * glitter * sparkle * (canvas.v > horizon))
    if spec.detail == "sailboat":
        _sailboat(canvas, sky, horizon)
    if spec.detail == "rocks":
        top = horizon - 0.11 * smooth(canvas.line(3, 3), 0.45, 0.9) * smooth(np.abs(canvas.u - sky.sun_u), 0.12, 0.3)
        canvas.over(
            mix(sky.haze, np.array((0.20, 0.26, 0.22)).reshape(3, 1, 1) * sky.tint, 0.65) * texture.rock(canvas),
            canvas.below(top) * (canvas.v < horizon + 0.008),
        )
    sand = colour(0.93, 0.80, 0.60) if rng.random() < 0.6 else colour(0.88, 0.76, 0.64)
    _sand(canvas, sky, sand, shore)
    wet = np.exp(-(((canvas.v - shore) / 0.05) ** 2)) * canvas.below(shore)
    canvas.image *= 1 - 0.30 * wet
    foam = np.exp(-(((canvas.v - shore) / 0.012) ** 2)) * (0.65 + 0.35 * canvas.noise(20, 4))
    for _ in range(3 if spec.detail == "waves" else 1):
        back = float(rng.uniform(0.02, 0.11))
        crest = shore - back + 0.012 * (canvas.line(4, 2) - 0.5)
        foam = foam + np.exp(-(((canvas.v - crest) / 0.007) ** 2)) * smooth(canvas.line(4, 2), 0.35, 0.7) * 0.8
    canvas.over(mix(sky.haze, (1, 1, 1), 0.7) * (0.45 + 0.55 * sky.tint), np.clip(foam, 0, 1) * 0.85)
    if spec.detail == "palms":
        side = -1 if sky.sun_u > 0.5 else 1
        for n in range(int(rng.integers(1, 3))):
            palm(
                canvas,
                0.5 + side * (0.36 + 0.08 * n),
                horizon + 0.20,
                float(rng.uniform(0.46, 0.62)),
                -side,
                colour(0.10, 0.20, 0.12) * sky.tint,
            )
    return sky.light


def _sand(canvas: Canvas, sky: Sky, sand: Array, top: Array) -> None:
    """Ground of sand from a silhouette down to the lower border."""
    near = np.clip((canvas.v - top) / 0.5, 0, 1)
    shade = 0.90 + 0.16 * (canvas.clouds(3, 6, 2) - 0.5) + 0.06 * near
    canvas.over(sand * sky.tint * shade * texture.sand(canvas, top - 0.12), canvas.below(top))


def _sailboat(canvas: Canvas, sky: Sky, horizon: float) -> None:
    """A white sail far out, away from the sun."""
    u = float(1 - sky.sun_u + canvas.rng.uniform(-0.08, 0.08))
    height = float(canvas.rng.uniform(0.10, 0.16))
    rise = (horizon + 0.005 - canvas.v) / height
    inside = canvas.edge(
        np.maximum(
            np.abs(canvas.u - u - 0.012)
            - 0.045 * (1 - rise) * (canvas.u > u + 0.002)
            - 0.02 * (1 - rise) * (canvas.u <= u),
            -0.2,
        )
        * 0.8
    )
    canvas.over(colour(0.98, 0.97, 0.95) * (0.3 + 0.7 * sky.tint), inside * ((rise > 0) & (rise < 1)))
    canvas.over(
        colour(0.35, 0.20, 0.14) * sky.tint,
        canvas.disc(u + 0.012, horizon + 0.010, 0.05, 0.013) * (canvas.v > horizon + 0.004),
    )


def desert(canvas: Canvas, spec: Spec) -> Light:
    """Dunes behind dunes, each with a lit and a shaded slope."""
    rng = canvas.rng
    horizon = float(rng.uniform(0.42, 0.54))
    sky = paint_sky(canvas, spec.time, horizon, cloudy=rng.random() < 0.4)
    sand = mix((0.90, 0.62, 0.34), (0.84, 0.46, 0.28), float(rng.random()))
    if spec.detail == "mesas":
        for depth in (0.75, 0.35):
            line = canvas.line(5, 1)
            top = (
                horizon - 0.26 * (1 - 0.4 * depth) * smooth(line, 0.50, 0.56) * (0.75 + 0.3 * canvas.line(3, 2)) + 0.01
            )
            strata = (0.88 + 0.2 * canvas.noise(1, 22)) * texture.rock(canvas, 18, 8)
            canvas.over(mix(colour(0.72, 0.33, 0.20) * sky.tint, sky.haze, depth * 0.75) * strata, canvas.below(top))
    count = 4
    for n in range(count):
        near = (n + 1) / count
        base = horizon + 0.30 * near**1.6 - 0.02
        top = base - (0.05 + 0.07 * near) * (canvas.line(1 + int(rng.integers(1, 3)), 2, 0.25) - 0.3)
        slope = np.gradient(top[0])[None, :] * canvas.size
        lit = smooth(-slope * np.sign(sky.sun_u - 0.5) * 1.0, -0.25, 0.35)
        fall = np.clip((canvas.v - top) / 0.14, 0, 1)
        shade = 0.62 + 0.42 * lit * (1 - 0.6 * fall) + 0.25 * fall
        if n >= count - 2:
            shade = shade * texture.sand(canvas, horizon)
        canvas.over(mix(sand * sky.tint, sky.haze, 0.55 * (1 - near)) * shade, canvas.below(top))
    ground = colour(0.16, 0.34, 0.20) * sky.tint
    if spec.detail == "cactus":
        for side in (-1, 1):
            if rng.random() < 0.8:
                cactus(
                    canvas,
                    0.5 + side * float(rng.uniform(0.30, 0.44)),
                    horizon + float(rng.uniform(0.14, 0.30)),
                    float(rng.uniform(0.22, 0.40)),
                    ground,
                    sky.sun_u,
                )
    if spec.detail == "rocks":
        rocks(canvas, horizon + 0.30, colour(0.52, 0.33, 0.24) * sky.tint, sky.sun_u)
    return sky.light


def mountain(canvas: Canvas, spec: Spec) -> Light:
    """Ranges with snow, fading with distance; a lake that mirrors them, or a meadow."""
    rng = canvas.rng
    level = float(rng.uniform(0.52, 0.60))
    sky = paint_sky(canvas, spec.time, level)
    rock = mix((0.34, 0.40, 0.50), (0.42, 0.40, 0.42), float(rng.random()))
    sharp = 0.52 if spec.detail == "peaks" else 0.40
    for n, near in enumerate((0.25, 0.65)):
        ridge = 1 - np.abs(2 * canvas.line(2 + n, 4, 0.48) - 1)
        top = level - sharp * (1.05 - 0.45 * near) * (ridge - 0.12)
        facets = canvas.clouds(7, 5, 3)
        slope = np.gradient(top[0])[None, :] * canvas.size
        lit = smooth(-slope * np.sign(sky.sun_u - 0.5), -0.7, 0.7) * 0.6 + smooth(facets, 0.3, 0.7) * 0.4
        body = rock * sky.tint * (0.62 + 0.5 * lit) * texture.rock(canvas, 12 + 8 * n, 12)
        snow_line = 0.09 * (1.3 - near) + 0.12 * (facets - 0.4)
        snow = smooth(snow_line - (canvas.v - top), -0.015, 0.02) * (0.95 if n == 0 or spec.detail == "peaks" else 0.55)
        white = (
            mix(colour(0.62, 0.72, 0.90) * sky.tint, sky.tint, 0.0) * (1 - lit)
            + colour(0.99, 0.98, 0.97) * (0.25 + 0.75 * sky.tint) * lit
        )
        planes = body * (1 - snow) + white * snow
        planes = planes * (0.45 + 0.55 * near) + sky.haze * (0.55 - 0.55 * near)
        canvas.over(np.asarray(planes, np.float32), canvas.below(top))
    hills = level - 0.05 * canvas.line(3, 2)
    canvas.over(mix(colour(0.16, 0.32, 0.20) * sky.tint, sky.haze, 0.25), canvas.below(hills))
    if spec.detail in ("pines", "lake"):
        conifers(canvas, level + 0.005, 0.15, 26, colour(0.07, 0.20, 0.14) * sky.tint)
    if spec.detail == "meadow":
        _meadow(canvas, sky, level)
        return sky.light
    lake = canvas.mirror(level, 0.012) * 0.78 + colour(0.05, 0.26, 0.36) * sky.tint * 0.22
    canvas.over(lake * (0.6 + 0.4 * texture.waves(canvas, level)), canvas.edge(level - canvas.v))
    bank = level + float(rng.uniform(0.18, 0.24)) + 0.05 * (canvas.line(3, 3) - 0.5)
    stones = mix((0.46, 0.44, 0.42), (0.36, 0.42, 0.30), float(rng.random())) * sky.tint
    canvas.over(stones * texture.cobbles(canvas, level) * texture.rock(canvas, 22, 22), canvas.below(bank))
    return sky.light


def _meadow(canvas: Canvas, sky: Sky, level: float) -> None:
    """Grass that brightens towards the viewer, dotted with flowers."""
    near = np.clip((canvas.v - level) / (1 - level), 0, 1)
    grass = colour(0.24, 0.46, 0.16) * (1 - near) + colour(0.42, 0.62, 0.20) * near
    canvas.over(grass * sky.tint * texture.grass(canvas, level), canvas.edge(level - canvas.v))
    flowers = smooth(canvas.noise(64, 56), 0.82, 0.95) * near
    hue = ((1.0, 0.95, 0.6), (0.95, 0.6, 0.75), (0.98, 0.98, 0.98))[int(canvas.rng.integers(3))]
    canvas.over(colour(*hue) * (0.3 + 0.7 * sky.tint), flowers * 0.8)
