"""The market scene: a street of stalls under awnings, lanterns and string lights, running to a vanishing point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import TINTS, Light, paint_sky

WARM = colour(1.0, 0.74, 0.36)
GOODS = ("red", "orange", "yellow", "green", "purple", "pink")


@dataclass(frozen=True)
class Alley:
    """The perspective and the light of the street: horizon (v), vanishing point (u), tint, lamps lit."""

    horizon: float
    vanish: float
    tint: Array
    dark: bool


def market(canvas: Canvas, spec: Spec) -> Light:
    """Stalls on both sides of an alley; after dark, their lamps light it."""
    rng = canvas.rng
    horizon = float(rng.uniform(0.42, 0.48))
    sky = paint_sky(canvas, spec.time, horizon)
    dark = spec.time in ("night", "sunset")
    tint = TINTS[spec.time] * 0.75 + (0.25 if dark else 0.2)
    vanish = 0.5 + float(rng.uniform(-0.06, 0.06))
    alley = Alley(horizon, vanish, tint, dark)
    _houses(canvas, sky.haze, alley)
    _ground(canvas, alley)
    cloth = (as_colour(COLOURS[spec.accent]), as_colour(COLOURS[GOODS[int(rng.integers(len(GOODS)))]]))
    for depth in (0.30, 0.55, 1.0):
        for side in (-1.0, 1.0):
            _stall(canvas, spec, alley, side, depth, cloth)
    if spec.detail in ("lanterns", "string lights") or dark:
        _lights(canvas, spec, alley)
    side = 1.0 if rng.random() < 0.5 else -1.0
    warm = mix(colour(1, 1, 1), WARM, 0.35 if dark else 0.08)
    return Light(side, np.asarray(warm * (0.5 + 0.5 * float(tint.mean())), np.float32), 0.55, 0.12 if dark else 0.04)


def _houses(canvas: Canvas, haze: Array, alley: Alley) -> None:
    """House fronts closing the alley, a few lit windows in them."""
    rng = canvas.rng
    away = np.abs(canvas.u - alley.vanish)
    roof = alley.horizon - 0.05 - 0.62 * np.clip(away - 0.05, 0, 1) - 0.03 * (canvas.line(9, 1) > 0.5)
    wall = mix(colour(0.50, 0.40, 0.34), haze, 0.3) * alley.tint
    zeros = np.zeros((canvas.size, canvas.size), np.float32)
    tones, mortar = texture.brick(canvas, canvas.u * 26 + zeros, canvas.v * 44 + zeros)
    front = canvas.below(roof) * (canvas.v < alley.horizon + 0.03)
    canvas.over(wall * tones * (0.75 + 0.35 * canvas.noise(7, 3)), front)
    canvas.over(wall * 1.25, front * mortar * 0.4)
    if alley.dark:
        for _ in range(9):
            side = -1 if rng.random() < 0.5 else 1
            u = alley.vanish + side * float(rng.uniform(0.13, 0.46))
            v = alley.horizon - float(rng.uniform(0.10, 0.25))
            canvas.over(WARM, 0.75 * canvas.box(u - 0.012, u + 0.012, v - 0.018, v + 0.018, 2.0))


def _ground(canvas: Canvas, alley: Alley) -> None:
    """Cobbles in perspective, lit by the stalls after dark."""
    depth = np.clip((canvas.v - alley.horizon) / (1 - alley.horizon), 1e-3, 1)
    stone = mix(colour(0.52, 0.48, 0.46), colour(0.46, 0.40, 0.36), float(canvas.rng.random())) * alley.tint
    stones = texture.cobbles(canvas, alley.horizon) * texture.plaster(canvas, 0.3)
    canvas.over(stone * stones * (0.9 + 0.1 * depth), canvas.edge(alley.horizon + 0.02 - canvas.v))
    if alley.dark:
        pool = 0.30 * np.exp(-(((np.abs(canvas.u - alley.vanish) - 0.30 * depth - 0.06) / 0.16) ** 2))
        canvas.add(WARM, pool * (canvas.v > alley.horizon + 0.02))


def _stall(canvas: Canvas, spec: Spec, alley: Alley, side: float, depth: float, cloth: tuple[Array, Array]) -> None:
    """One stall: a table of goods, posts, a striped awning, light under it."""
    rng = canvas.rng
    near, far = alley.vanish + side * (0.10 + 0.52 * depth), alley.vanish + side * (0.08 + 0.30 * depth)
    left, right = min(near, far), max(near, far)
    top, table, foot = alley.horizon - 0.34 * depth, alley.horizon + 0.10 * depth, alley.horizon + 0.34 * depth
    wood = colour(0.40, 0.26, 0.16) * alley.tint
    inside = WARM * 0.85 if alley.dark else wood * 1.1
    canvas.over(inside, 0.9 * canvas.box(left, right, top + 0.10 * depth, table, 2.0))
    for u in (left + 0.006, right - 0.006):
        canvas.over(wood * 0.7, canvas.box(u - 0.008 * depth, u + 0.008 * depth, top, foot))
    canvas.over(wood * (0.8 + 0.2 * canvas.noise(12, 3)), canvas.box(left, right, table, foot))
    count = 7 if spec.detail == "stalls" else 5
    for n in range(count):
        u = left + (n + 0.5) * (right - left) / count
        hue = as_colour(COLOURS[GOODS[int(rng.integers(len(GOODS)))]])
        lit = 1.0 if alley.dark else alley.tint
        radius = (right - left) / count * 0.52
        canvas.over(hue * lit * 0.95, canvas.disc(u, table - 0.3 * radius, radius, radius * 0.75))
    stripes = smooth(np.sin((canvas.u - left) / max(right - left, 1e-3) * 2 * np.pi * 3.5), -0.2, 0.2)
    fabric = cloth[0] * stripes + mix(cloth[1], (0.97, 0.95, 0.90), 0.75) * (1 - stripes)
    deep = 0.15 if spec.detail == "awnings" else 0.11
    hem = top + deep * depth + 0.012 * depth * np.abs(np.sin((canvas.u - left) / max(right - left, 1e-3) * np.pi * 7))
    fall = np.clip((canvas.v - top) / (deep * depth), 0, 1)
    lift = mix(colour(1, 1, 1), WARM, 0.4) if alley.dark else colour(1, 1, 1)
    awning = canvas.box(left - 0.02 * depth, right + 0.02 * depth, top - 0.01, top + 0.3) * canvas.edge(canvas.v - hem)
    canvas.over(
        fabric * (alley.tint * 0.7 + 0.3 * (1.0 if alley.dark else alley.tint)) * lift * (1.0 - 0.25 * fall), awning
    )


def _lights(canvas: Canvas, spec: Spec, alley: Alley) -> None:
    """Paper lanterns, or bulbs on strings, across the alley."""
    rng = canvas.rng
    lanterns = spec.detail == "lanterns"
    hue = as_colour(COLOURS[spec.accent]) if lanterns else WARM
    for row, depth in enumerate((0.45, 0.75, 1.0)):
        sag, height = 0.07 * depth, alley.horizon - 0.30 * depth - 0.05
        count = 4 + row if lanterns else 8 + row
        for n in range(count):
            t = (n + 0.5) / count
            u = alley.vanish + (t - 0.5) * 1.3 * depth
            v = height + sag * (1 - (2 * t - 1) ** 2) + float(rng.normal(0, 0.004))
            radius = (0.030 if lanterns else 0.010) * (0.5 + 0.6 * depth)
            if alley.dark:
                canvas.add(mix(hue, WARM, 0.5), 0.45 * canvas.glow(u, v, radius * 2.4))
            body = mix(hue, (1.0, 0.9, 0.6), 0.45 if alley.dark else 0.1)
            canvas.over(body, canvas.disc(u, v, radius, radius * (1.2 if lanterns else 1.0), 2.0))
