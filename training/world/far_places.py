"""The space and forest scenes."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import PALETTES, TINTS, Light, paint_stars
from training.world.things import conifers


def space(canvas: Canvas, spec: Spec) -> Light:
    """Nebula, stars and a planet over the ground of a moon."""
    rng = canvas.rng
    accent = as_colour(COLOURS[spec.accent])
    second = as_colour(list(COLOURS.values())[int(rng.integers(9))])
    canvas.gradient([(0, (0.01, 0.01, 0.05)), (0.7, mix((0.03, 0.02, 0.10), accent, 0.10)), (1, (0.02, 0.02, 0.06))])
    strength = 0.85 if spec.detail == "nebula" else 0.5
    one, two = canvas.clouds(2, 2, 4), canvas.clouds(3, 2, 4)
    canvas.add(accent, strength * smooth(one, 0.42, 0.85))
    canvas.add(second, 0.45 * strength * smooth(two, 0.48, 0.85))
    canvas.add((1.0, 0.92, 0.95), 0.22 * strength * smooth(one * two, 0.30, 0.50))
    paint_stars(canvas, 90, 0.78)
    side = 1.0 if rng.random() < 0.5 else -1.0
    if spec.detail != "nebula" or rng.random() < 0.3:
        _planet(canvas, spec, side)
    # The moon's ground: a curved horizon, craters with a lit rim.
    level = float(rng.uniform(0.68, 0.75))
    top = level + 0.14 * (canvas.u - 0.5) ** 2 * 2 - 0.018 * (canvas.line(6, 3) - 0.5)
    soil = mix(mix((0.50, 0.49, 0.52), accent, 0.22), (0.4, 0.36, 0.34), float(rng.random()) * 0.5)
    depth = np.clip((canvas.v - top) / 0.3, 0, 1)
    shade = 0.55 + 0.35 * depth + 0.25 * (canvas.clouds(7, 14, 3) - 0.5) + 0.15 * side * (canvas.u - 0.5)
    canvas.over(soil * shade * texture.rock(canvas, 16, 30), canvas.below(top))
    for _ in range(int(rng.integers(4, 8))):
        v = float(rng.uniform(level + 0.06, 0.98))
        size = 0.03 + 0.22 * (v - level)
        u = float(rng.random())
        canvas.over(soil * 1.02, canvas.disc(u, v, size, size * 0.30, 2.0) * 0.7)
        canvas.over(
            soil * 0.42, canvas.disc(u + 0.10 * size * side, v + 0.02 * size, size * 0.86, size * 0.23, 3.0) * 0.7
        )
    canvas.add(accent, 0.20 * np.exp(-(((canvas.v - top) / 0.03) ** 2)) * (canvas.v < top + 0.01))
    return Light(side, mix((1, 1, 1), accent, 0.16) * 0.98, 0.6)


def _planet(canvas: Canvas, spec: Spec, side: float) -> None:
    """A banded ball with a terminator, with rings if the detail names them."""
    rng = canvas.rng
    radius = float(rng.uniform(0.10, 0.19)) if spec.detail != "planet" else float(rng.uniform(0.18, 0.28))
    cu, cv = 0.5 + side * float(rng.uniform(0.20, 0.34)), float(rng.uniform(0.16, 0.34))
    x, y = (canvas.u - cu) / radius, (canvas.v - cv) / radius
    ball = canvas.disc(cu, cv, radius, radius, 1.5)
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    light = np.clip(0.72 * side * x - 0.5 * y + 0.55 * z, 0, 1.2)
    hue = as_colour(list(COLOURS.values())[int(rng.integers(len(COLOURS)))])
    if spec.detail == "moon":
        hue = colour(0.80, 0.80, 0.82)
    bands = (
        0.82 + 0.36 * (canvas.noise(2, 26) - 0.2)
        if spec.detail != "moon"
        else 0.75 + 0.5 * (canvas.clouds(10, 10, 2) - 0.4)
    )
    tilt = y + 0.30 * x * side
    ring = spec.detail == "ringed planet"
    reach = np.sqrt((x * 0.56) ** 2 + (tilt * 2.6) ** 2)
    band = (
        smooth(reach, 0.74, 0.80) * smooth(1.30 - reach, 0, 0.08) * (0.55 + 0.45 * np.cos(reach * 34)) if ring else None
    )
    if band is not None:
        canvas.over(mix(hue, (1, 0.95, 0.85), 0.55), band * 0.85 * (tilt < 0))
    canvas.add(hue, 0.22 * canvas.glow(cu, cv, radius * 1.35))
    canvas.over(mix(hue, (0.9, 0.85, 0.8), 0.25) * bands * (0.06 + 0.95 * light), ball)
    if band is not None:
        canvas.over(mix(hue, (1, 0.95, 0.85), 0.55), band * 0.85 * (tilt >= 0))


def forest(canvas: Canvas, spec: Spec) -> Light:
    """Trees behind trees, paler with distance, over a mossy floor."""
    rng = canvas.rng
    tint = TINTS[spec.time]
    options = PALETTES[spec.time]
    haze = as_colour(options[int(rng.integers(len(options)))][2])
    level = float(rng.uniform(0.58, 0.66))
    green = {
        "day": (0.66, 0.84, 0.56),
        "sunset": (0.98, 0.78, 0.46),
        "night": (0.10, 0.20, 0.26),
        "dawn": (0.90, 0.86, 0.74),
    }[spec.time]
    glow = mix(haze, green, 0.6)
    side = 1.0 if rng.random() < 0.5 else -1.0
    sun_u = 0.5 + 0.22 * side
    canvas.gradient([(0, glow * 0.72), (level * 0.7, glow), (level, glow * 0.95), (1, glow * 0.6)])
    if spec.time == "night":
        paint_stars(canvas, 25, level * 0.5)
    canvas.add(mix(glow, (1, 1, 0.9), 0.5), 0.40 * canvas.glow(sun_u, level * 0.45, 0.30))
    leaf = mix((0.12, 0.34, 0.16), (0.24, 0.42, 0.12), float(rng.random()))
    if rng.random() < 0.18:
        leaf = mix(leaf, (0.72, 0.36, 0.10), 0.7)
    pines = spec.detail == "pines" or (spec.detail in ("path", "sunbeams") and rng.random() < 0.5)
    for n, near in enumerate((0.15, 0.45, 0.8)):
        paint = mix(leaf * tint * (0.95 - 0.35 * near), glow, 0.72 * (1 - near))
        base = level + 0.02 + 0.03 * near
        if pines:
            conifers(canvas, base, 0.34 + 0.28 * near, 15 - 4 * n, paint, gap=0.12 * near)
        else:
            _crowns(canvas, spec, base, near, paint, glow, tint, 11 - 3 * n)
    floor = mix(leaf, (0.36, 0.30, 0.16), 0.35) * tint
    near_floor = np.clip((canvas.v - level) / (1 - level), 0, 1)
    top = level + 0.02 - 0.03 * (canvas.line(4, 3) - 0.5)
    planes = mix(floor * 1.25, glow, 0.20) * texture.grass(canvas, level - 0.05) * (1 - 0.12 * near_floor)
    canvas.over(planes, canvas.below(top, 2.0))
    if spec.detail == "path":
        centre = 0.5 + 0.14 * side * np.sin(near_floor * 2.6) * (1 - near_floor)
        path = smooth(0.03 + 0.26 * near_floor - np.abs(canvas.u - centre), -0.02, 0.03) * (canvas.v > level + 0.02)
        earth = colour(0.62, 0.50, 0.34) * (0.1 + 0.9 * tint) * texture.rock(canvas, 30, 40)
        canvas.over(earth, path * 0.85)
    if spec.detail == "sunbeams" or rng.random() < 0.25:
        angle = (canvas.u - sun_u) / (canvas.v + 0.15)
        beams = smooth(np.sin(angle * 13 + float(rng.uniform(0, 6))) * 0.5 + 0.5, 0.35, 1.0) * np.exp(-(angle**2) * 1.2)
        canvas.add(mix(glow, (1, 1, 0.85), 0.4), 0.34 * beams * np.clip(1.15 - canvas.v, 0, 1))
    mist = np.exp(-(((canvas.v - level) / 0.06) ** 2))
    canvas.over(glow, mist * (0.45 if spec.time in ("dawn", "night") else 0.22))
    lit = np.asarray(tint * 0.45 + 0.55, np.float32)
    return Light(side, lit, 0.5)


def _crowns(
    canvas: Canvas,
    spec: Spec,
    base: float,
    near: float,
    paint: Array,
    glow: Array,
    tint: Array,
    count: int,
) -> None:
    """Trunks with a roof of leaves; birches are white with dark marks."""
    rng = canvas.rng
    birch = spec.detail == "birches"
    bark = (
        mix(colour(0.88, 0.87, 0.82) * (0.15 + 0.85 * tint), glow, 0.5 * (1 - near))
        if birch
        else mix(colour(0.26, 0.18, 0.12) * tint, glow, 0.65 * (1 - near))
    )
    marks = smooth(canvas.noise(40, 60), 0.66, 0.80) * near if birch else None
    furrows = 1 + (texture.bark(canvas, 50 + 60 * (1 - near), 8) - 1) * (0.3 if birch else 1.0) * (0.3 + 0.7 * near)
    for n in range(count):
        u = (n + float(rng.uniform(0.15, 0.85))) / count
        if near > 0.6 and abs(u - 0.5) < 0.16:
            continue
        width = (0.008 + 0.016 * near) * float(rng.uniform(0.8, 1.3))
        lean = float(rng.uniform(-0.03, 0.03))
        distance = np.abs(canvas.u - u - lean * (base - canvas.v)) - width * (0.8 + 0.3 * canvas.v)
        alpha = canvas.edge(distance) * (canvas.v < base + 0.02)
        across = np.clip((canvas.u - u) / width, -1, 1)
        canvas.over(bark * furrows * (1 - 0.22 * across), alpha)
        if marks is not None:
            canvas.over(bark * 0.25, alpha * marks)
    roof = canvas.clouds(5 + 2 * count // 5, 5, 3)
    edge = 0.10 + 0.16 * (1 - near) + 0.16 * canvas.line(4, 2)
    leaves = smooth(edge - canvas.v + 0.22 * (roof - 0.5), -0.04, 0.05)
    canvas.over(paint * (0.75 + 0.6 * roof) * texture.foliage(canvas, 18 + 14 * (1 - near)), leaves * 0.92)
