"""The city, studio and kitchen scenes."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import Light, paint_sky


def _windows(canvas: Canvas, x: Array, y: Array, lit_share: float) -> tuple[Array, Array]:
    """Panes on a facade whose own coordinates are x, y (in windows): which pixels are pane, and which are lit."""
    fx, fy = x - np.floor(x), y - np.floor(y)
    pane = smooth(fx, 0.12, 0.28) * smooth(1 - fx, 0.12, 0.28) * smooth(fy, 0.15, 0.32) * smooth(1 - fy, 0.15, 0.32)
    table = canvas.rng.random((64, 64), dtype=np.float32)
    lit = table[np.floor(x).astype(int) & 63, np.floor(y).astype(int) & 63] < lit_share
    return pane, lit


def city(canvas: Canvas, spec: Spec) -> Light:
    """Towers behind towers, windows lit by night; a street, a river or a terrace in front."""
    rng = canvas.rng
    street = spec.detail in ("street", "neon")
    level = float(rng.uniform(0.60, 0.68))
    sky = paint_sky(canvas, spec.time, level)
    lit_share = {"day": 0.10, "sunset": 0.40, "night": 0.58, "dawn": 0.22}[spec.time]
    glass = mix(sky.haze, (0.45, 0.58, 0.72), 0.5) * (0.5 + 0.5 * sky.tint)
    warm = as_colour((1.0, 0.82, 0.48))
    neon = as_colour(COLOURS[spec.accent]) * 1.15 + 0.08
    for n, near in enumerate((0.15, 0.5, 0.9)):
        width = int(rng.integers(9, 14)) - 2 * n
        edges = np.sort(rng.random(width + 1))
        which = np.searchsorted(edges, canvas.u[0])
        heights = rng.uniform(0.10, 0.42 - 0.02 * n, width + 2)
        middle = np.exp(-(((canvas.u[0] - 0.5) / 0.22) ** 2)) * (0.55 if street else 0.25) * near
        top = (level - heights[which] * (1 - middle))[None, :].astype(np.float32)
        tone = rng.uniform(0.75, 1.15, width + 2)[which][None, :]
        body = mix((0.24, 0.27, 0.34), (0.46, 0.40, 0.38), float(rng.random())) * sky.tint * 0.95 + 0.02
        facade = mix(body, sky.haze, 0.72 * (1 - near)) * tone * texture.plaster(canvas, 0.25 * near)
        alpha = canvas.below(top) * (canvas.v < level + 0.002)
        canvas.over(facade, alpha)
        if n > 0:
            pane, lit = _windows(canvas, canvas.u * (26 - 6 * n), canvas.v * (30 - 7 * n), lit_share)
            canvas.over(mix(glass, sky.haze, 0.5 * (1 - near)), alpha * pane * ~lit * 0.55)
            canvas.over(warm, alpha * pane * lit * (0.55 + 0.35 * near))
    if street:
        _street(canvas, spec, level, warm, glass, neon, lit_share)
        ground = colour(0.20, 0.21, 0.24) * (0.35 + 0.65 * sky.tint) * texture.rock(canvas, 60, 90)
        gloss = 0.45 if spec.time in ("night", "sunset") else 0.12
        wet = canvas.mirror(level, 0.006) * gloss + ground * (1 - gloss)
        canvas.over(wet, canvas.edge(level - canvas.v))
        depth = np.clip((canvas.v - level) / (1 - level), 0, 1)
        dash = smooth(np.abs(canvas.u - 0.5) * -1 + 0.012 * depth, 0, 0.004) * (np.sin(6 / (depth + 0.12)) > 0)
        canvas.over(colour(0.95, 0.90, 0.75) * (0.4 + 0.6 * sky.tint), dash * (canvas.v > level) * 0.8)
    elif spec.detail == "river":
        water = canvas.mirror(level, 0.016) * 0.75 + colour(0.05, 0.12, 0.20) * sky.tint * 0.25
        canvas.over(water * (0.5 + 0.5 * texture.waves(canvas, level)), canvas.edge(level - canvas.v))
        quay = level + 0.17
        canvas.over(
            colour(0.50, 0.48, 0.46) * (0.3 + 0.7 * sky.tint) * texture.cobbles(canvas, level),
            canvas.edge(quay - canvas.v),
        )
        canvas.over(colour(0.72, 0.70, 0.66) * (0.3 + 0.7 * sky.tint), canvas.box(-0.1, 1.1, quay, quay + 0.018))
    else:
        haze = np.clip((canvas.v - level + 0.2) / 0.3, 0, 1) * (canvas.v < level)
        canvas.over(sky.haze, haze * 0.35)
        floor = mix((0.56, 0.50, 0.46), (0.40, 0.42, 0.46), float(rng.random())) * (0.3 + 0.7 * sky.tint)
        depth = np.clip((canvas.v - level) / (1 - level), 0, 1)
        away = canvas.v * 0 + (canvas.u - 0.5) / (depth + 0.25)
        boards = texture.wood(canvas, np.asarray(3 / (depth + 0.25) + 0 * away, np.float32), away * 6)
        canvas.over(floor * boards * (0.75 + 0.35 * depth), canvas.edge(level - canvas.v))
        canvas.over(floor * 0.45, canvas.box(-0.1, 1.1, level - 0.065, level - 0.050))
        posts = smooth(np.cos(canvas.u * 2 * np.pi * 9), 0.975, 0.99)
        canvas.over(floor * 0.45, posts * canvas.box(-0.1, 1.1, level - 0.05, level + 0.01))
    if spec.time == "night":
        canvas.add(neon, 0.22 * canvas.glow(float(rng.uniform(0.1, 0.9)), level - 0.1, 0.35, 0.22))
    light = sky.light
    return Light(light.side, light.tint, light.shadow, 0.22 if street else 0.05)


def _street(canvas: Canvas, spec: Spec, level: float, warm: Array, glass: Array, neon: Array, lit_share: float) -> None:
    """Facades on both sides, running to a vanishing point."""
    rng = canvas.rng
    near_wall = float(rng.uniform(0.26, 0.34))
    offset = np.maximum(np.abs(canvas.u - 0.5), 1e-3)
    distance = np.where(offset > 0.08, 0.5 / offset, 7.0)
    block = np.floor(distance * 1.3).astype(int) + 8 * (canvas.u > 0.5)
    tall = rng.uniform(0.45, 1.0, 40).astype(np.float32)[block]
    top = level - tall / distance
    wall = canvas.below(top) * (canvas.v < level) * smooth(offset, near_wall * 0.45, near_wall * 0.47)
    tone = rng.uniform(0.7, 1.2, 40).astype(np.float32)[block]
    zeros = np.zeros_like(canvas.v + canvas.u)
    tones, mortar = texture.brick(
        canvas,
        np.asarray(distance * 16 + zeros, np.float32),
        np.asarray((level - canvas.v) * distance * 44, np.float32),
    )
    base = colour(0.30, 0.28, 0.32) * (TINT_FLOOR + (1 - TINT_FLOOR) * warm_tint(spec.time))
    fade = np.clip((distance - 1) / 5, 0, 1) * 0.4
    near = np.clip(1.5 - distance / 2.5, 0, 1)
    bricks = (1 + (tones - 1) * near) * (1 + 0.25 * mortar * near)
    canvas.over(base * tone * bricks * (1 - fade) + as_colour(glass) * fade, wall)
    pane, lit = _windows(
        canvas, distance * 5.2 + np.zeros_like(canvas.v), (level - canvas.v) * distance * 11, lit_share
    )
    fine = wall * pane * np.clip(1.6 - distance / 3, 0, 1)
    canvas.over(glass, fine * ~lit * 0.6)
    canvas.over(warm, fine * lit * 0.9)
    if spec.detail == "neon":
        for _ in range(3):
            side = -1 if rng.random() < 0.5 else 1
            u, v = 0.5 + side * float(rng.uniform(0.24, 0.42)), level - float(rng.uniform(0.12, 0.34))
            w, h = float(rng.uniform(0.02, 0.035)), float(rng.uniform(0.05, 0.10))
            hue = neon if rng.random() < 0.6 else as_colour(((0.1, 0.9, 1.0), (1.0, 0.2, 0.7))[int(rng.integers(2))])
            canvas.add(hue, 0.5 * canvas.glow(u, v, w * 3, h * 1.6))
            canvas.over(np.clip(hue * 0.6 + 0.4, 0, 1), canvas.box(u - w, u + w, v - h, v + h, 3.0))


TINT_FLOOR = 0.25


def warm_tint(time: str) -> Array:
    """The tint of facades; it differs from the sky's, because lamps light streets too."""
    return {
        "day": colour(1.25, 1.2, 1.15),
        "sunset": colour(1.2, 0.8, 0.65),
        "night": colour(0.35, 0.32, 0.5),
        "dawn": colour(1.05, 0.9, 0.95),
    }[time]


def studio(canvas: Canvas, spec: Spec) -> Light:
    """A seamless backdrop in one colour, lit softly."""
    rng = canvas.rng
    base = as_colour(COLOURS[spec.accent])
    pale = float(rng.uniform(0.05, 0.45))
    wall = mix(base, (1, 1, 1), pale) if spec.detail != "spotlight" else mix(base, (0, 0, 0), 0.55)
    side = 1.0 if rng.random() < 0.5 else -1.0
    bend = float(rng.uniform(0.60, 0.72))
    canvas.gradient([(0, wall * 0.70), (bend - 0.12, wall * 0.95), (bend + 0.10, wall * 1.06), (1, wall * 0.92)])
    canvas.add(mix(wall, (1, 1, 1), 0.5), 0.28 * canvas.glow(0.5 + 0.2 * side, 0.34, 0.42))
    if spec.detail == "bokeh":
        for _ in range(int(rng.integers(10, 18))):
            u, v, r = float(rng.random()), float(rng.uniform(0, bend - 0.08)), float(rng.uniform(0.025, 0.075))
            hue = mix(wall, (1.0, 0.92, 0.75), float(rng.uniform(0.4, 1.0)))
            canvas.add(hue, canvas.disc(u, v, r, r, 4.0) * float(rng.uniform(0.10, 0.35)))
    if spec.detail == "spotlight":
        cone = np.abs(canvas.u - 0.5 - 0.22 * side * (0.85 - canvas.v)) / (0.06 + 0.34 * canvas.v)
        canvas.add(mix(wall, (1, 1, 1), 0.75), 0.45 * np.exp(-(cone**2) * 1.6) * (0.35 + 0.5 * canvas.v))
        canvas.add(mix(base, (1, 1, 1), 0.7), 0.38 * canvas.glow(0.5, 0.88, 0.34, 0.10))
    if spec.detail == "podium":
        v, r = 0.865, float(rng.uniform(0.32, 0.38))
        body = mix(wall, (1, 1, 1), 0.30)
        across = 0.80 + 0.30 * side * (canvas.u - 0.5) / r
        canvas.over(wall * 0.62, canvas.glow(0.5 - 0.05 * side, 1.0, r * 1.3, 0.10) * 0.6)
        drum = canvas.edge(np.abs(canvas.u - 0.5) - r) * canvas.edge(v - canvas.v)
        canvas.over(body * across, drum)
        canvas.over(np.clip(body * 1.10, 0, 1), canvas.disc(0.5, v, r, 0.075))
    canvas.image *= texture.plaster(canvas, 0.05)
    canvas.vignette(0.35)
    return Light(side, mix((1, 1, 1), wall, 0.10), 0.42, 0.16 if spec.detail != "podium" else 0.08)


def kitchen(canvas: Canvas, spec: Spec) -> Light:
    """A wall with a window, shelves, tiles or plants out of focus, and a sharp counter."""
    rng = canvas.rng
    tint = {
        "day": colour(1.0, 1.0, 0.98),
        "sunset": colour(1.05, 0.88, 0.72),
        "night": colour(0.62, 0.52, 0.46),
        "dawn": colour(1.0, 0.93, 0.92),
    }[spec.time]
    wall = mix(COLOURS[spec.accent], (0.97, 0.95, 0.91), 0.55) * tint
    counter_v = float(rng.uniform(0.66, 0.74))
    side = 1.0 if rng.random() < 0.5 else -1.0
    canvas.gradient([(0, wall * 0.86), (counter_v, wall * 0.98), (1, wall)])
    canvas.image *= texture.plaster(canvas)
    _wall_things(canvas, spec, wall, tint, counter_v, side)
    canvas.image *= 0.80 + 0.30 * canvas.glow(0.5 + 0.4 * side, 0.25, 0.6)
    canvas.soften(2)
    wood = rng.random() < 0.6
    body = (mix((0.62, 0.40, 0.22), (0.80, 0.60, 0.38), float(rng.random())) if wood else colour(0.90, 0.89, 0.87)) * (
        0.2 + 0.8 * tint
    )
    depth = np.clip((canvas.v - counter_v) / (1 - counter_v), 0, 1)
    if wood:
        zeros = np.zeros((canvas.size, canvas.size), np.float32)
        grain = texture.wood(canvas, canvas.u * 3 + zeros, 5 / (depth + 0.4) + zeros)
    else:
        veins = smooth(np.abs(canvas.clouds(4, 6, 4) - 0.5), 0.0, 0.10)
        grain = (0.80 + 0.20 * veins) * texture.plaster(canvas, 0.08)
    canvas.over(
        body * grain * (0.96 + 0.08 * depth) + 0.10 * canvas.glow(0.5 + 0.3 * side, counter_v + 0.05, 0.4, 0.12),
        canvas.edge(counter_v - canvas.v, 2.0),
    )
    canvas.image *= 1 - 0.25 * np.exp(-(((canvas.v - counter_v) / 0.02) ** 2))
    return Light(side, np.asarray(tint * 0.6 + 0.4, np.float32), 0.45, 0.10)


def _wall_things(canvas: Canvas, spec: Spec, wall: Array, tint: Array, counter_v: float, side: float) -> None:
    """What hangs on the kitchen wall."""
    rng = canvas.rng
    if spec.detail == "tiles" or rng.random() < 0.25:
        rows, columns = canvas.v * 14, canvas.u * 9
        shifted = columns + 0.5 * (np.floor(rows) % 2)
        joint = np.minimum(np.abs(shifted - np.round(shifted)) * 1.5, np.abs(rows - np.round(rows)))
        tone = rng.uniform(0.90, 1.08, (16, 16)).astype(np.float32)[
            np.floor(rows).astype(int) % 16, np.floor(shifted).astype(int) % 16
        ]
        canvas.over(wall * tone, canvas.box(-1, 2, counter_v - 0.42, counter_v))
        canvas.over(
            mix(wall, (1, 1, 1), 0.65), smooth(0.08 - joint, 0, 0.06) * canvas.box(-1, 2, counter_v - 0.42, counter_v)
        )
    if spec.detail == "window" or (spec.detail == "plants" and rng.random() < 0.6):
        u, w, v0, v1 = 0.5 + side * 0.24, 0.20, 0.08, counter_v - 0.14
        outside = {
            "day": ((0.55, 0.80, 0.98), (0.90, 0.97, 0.90)),
            "sunset": ((0.90, 0.55, 0.50), (1.0, 0.86, 0.55)),
            "night": ((0.05, 0.08, 0.22), (0.14, 0.18, 0.34)),
            "dawn": ((0.80, 0.76, 0.92), (1.0, 0.90, 0.82)),
        }[spec.time]
        t = np.clip((canvas.v - v0) / (v1 - v0), 0, 1)
        canvas.over(colour(0.97, 0.96, 0.94) * tint, canvas.box(u - w - 0.025, u + w + 0.025, v0 - 0.025, v1 + 0.035))
        canvas.over(as_colour(outside[0]) * (1 - t) + as_colour(outside[1]) * t, canvas.box(u - w, u + w, v0, v1))
        for bar in (
            canvas.box(u - 0.008, u + 0.008, v0, v1),
            canvas.box(u - w, u + w, (v0 + v1) / 2 - 0.008, (v0 + v1) / 2 + 0.008),
        ):
            canvas.over(colour(0.97, 0.96, 0.94) * tint, bar)
    if spec.detail == "shelves":
        for v in (0.24, 0.44):
            canvas.over(colour(0.52, 0.34, 0.20) * tint, canvas.box(0.06, 0.94, v, v + 0.022))
            u = 0.10
            while u < 0.88:
                w, h = float(rng.uniform(0.025, 0.05)), float(rng.uniform(0.06, 0.14))
                hue = mix(
                    list(COLOURS.values())[int(rng.integers(len(COLOURS)))],
                    (0.95, 0.93, 0.9),
                    float(rng.uniform(0.3, 0.8)),
                )
                canvas.over(hue * tint, canvas.box(u, u + 2 * w, v - h, v, 3.0))
                u += 2 * w + float(rng.uniform(0.02, 0.10))
    if spec.detail == "plants":
        for n in range(2):
            u = 0.5 - side * (0.30 + 0.13 * n)
            for _ in range(9):
                a, r = float(rng.uniform(-1.1, 1.1)), float(rng.uniform(0.06, 0.16))
                leaf = canvas.disc(u + r * np.sin(a), counter_v - 0.14 - r * np.cos(a), 0.030, 0.055, 3.0)
                canvas.over(mix((0.16, 0.42, 0.18), (0.42, 0.62, 0.26), float(rng.random())) * tint, leaf)
            canvas.over(
                mix((0.78, 0.42, 0.28), (0.95, 0.93, 0.9), float(rng.random())) * tint,
                canvas.box(u - 0.05, u + 0.05, counter_v - 0.13, counter_v),
            )
    if spec.time == "night" or rng.random() < 0.3:
        u = 0.5 - side * 0.22
        canvas.add((1.0, 0.80, 0.50), 0.55 * canvas.glow(u, 0.22, 0.26))
        canvas.over(colour(0.16, 0.15, 0.15), canvas.box(u - 0.004, u + 0.004, 0, 0.12))
        canvas.over(colour(0.98, 0.86, 0.62), canvas.disc(u, 0.15, 0.075, 0.045))
