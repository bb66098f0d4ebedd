"""The snow scene: drifts with blue shadows, firs under snow, a cabin, a snowman."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, colour, smooth
from training.world.labels import Spec
from training.world.sky import Light, Sky, paint_sky


def snow(canvas: Canvas, spec: Spec) -> Light:
    """Snowfields under a winter sky."""
    rng = canvas.rng
    horizon = float(rng.uniform(0.46, 0.56))
    sky = paint_sky(canvas, spec.time, horizon)
    white = colour(0.94, 0.96, 1.00) * (0.22 + 0.78 * sky.tint)
    shade = colour(0.52, 0.64, 0.88) * (0.25 + 0.75 * sky.tint)
    steep = 0.16 if spec.detail == "hills" else 0.07
    for near in (0.15, 0.45):
        top = horizon + 0.05 * near - steep * (1 - 0.4 * near) * canvas.line(2 + int(rng.integers(2)), 3, 0.4)
        slope = np.gradient(top[0])[None, :] * canvas.size
        lit = smooth(-slope * np.sign(sky.sun_u - 0.5), -0.35, 0.35)
        tone = shade * (1 - lit) + white * lit
        far = 0.45 * (1 - near)
        canvas.over(tone * (1 - far) + sky.haze * far, canvas.below(top))
    _firs(canvas, sky, white, horizon, 16 if spec.detail == "firs" else 8, 0.30 if spec.detail == "firs" else 0.17)
    _field(canvas, white, shade, horizon)
    side = -1.0 if sky.sun_u > 0.5 else 1.0
    if spec.detail == "cabin":
        _cabin(canvas, spec, sky, white, 0.5 + side * float(rng.uniform(0.26, 0.34)), horizon + 0.07)
    if spec.detail == "snowman":
        _snowman(canvas, white, shade, 0.5 + side * float(rng.uniform(0.28, 0.36)), horizon + 0.24, side)
    return sky.light


def _field(canvas: Canvas, white: Array, shade: Array, horizon: float) -> None:
    """The ground before the viewer: drifts whose far sides lie in blue shadow."""
    for n in range(3):
        near = (n + 1) / 3
        top = horizon + 0.05 + 0.26 * (near - 0.33) + 0.05 * (canvas.line(2, 2, 0.3) - 0.5)
        fall = np.clip((canvas.v - top) / 0.10, 0, 1)
        tone = white * (0.86 + 0.14 * near) * (1 - 0.55 * (1 - fall)) + shade * 0.55 * (1 - fall)
        canvas.over(tone * texture.drifts(canvas, horizon), canvas.below(top, 2.0))


def _firs(canvas: Canvas, sky: Sky, white: Array, horizon: float, count: int, height: float) -> None:
    """Dark firs in tiers, each tier with snow on its upper side."""
    rng = canvas.rng
    dark, needles = colour(0.10, 0.22, 0.20) * (0.25 + 0.75 * sky.tint), texture.foliage(canvas, 40)
    for n in range(count):
        u = (n + float(rng.uniform(0.1, 0.9))) / count
        tall = height * float(rng.uniform(0.6, 1.0)) * (0.65 + 0.7 * abs(u - 0.5) * 2)
        base = horizon + 0.06 + 0.02 * float(rng.random())
        for tier in range(4):
            foot = base - tall * (0.08 + 0.20 * tier)
            wide = tall * (0.24 - 0.045 * tier)
            rise = (foot - canvas.v) / (tall * 0.34)
            body = canvas.edge(np.abs(canvas.u - u) - wide * (1 - rise)) * ((rise > 0) & (rise < 1))
            canvas.over(dark * (0.9 + 0.1 * tier) * needles, body)
            canvas.over(white * 0.97, body * smooth(rise, 0.25, 0.6) * 0.85)


def _cabin(canvas: Canvas, spec: Spec, sky: Sky, white: Array, u: float, base: float) -> None:
    """A log cabin with a lit window, under a thick white roof."""
    wood = colour(0.42, 0.24, 0.13) * (0.25 + 0.75 * sky.tint)
    wide, tall = 0.13, 0.12
    wall = canvas.box(u - wide, u + wide, base - tall, base + 0.04)
    boards = texture.wood(canvas, canvas.u * 8 + 0 * canvas.v, canvas.v * 40 + 0 * canvas.u)
    canvas.over(wood * boards, wall)
    glow = colour(1.0, 0.80, 0.42) if spec.time != "day" else colour(0.55, 0.66, 0.74)
    canvas.over(glow, canvas.box(u - 0.085, u - 0.025, base - 0.085, base - 0.035))
    canvas.over(wood * 0.55, canvas.box(u + 0.03, u + 0.085, base - 0.085, base + 0.04))
    if spec.time != "day":
        canvas.add(glow, 0.22 * canvas.glow(u - 0.055, base - 0.06, 0.10))
    rise = (base - tall + 0.02 - canvas.v) / 0.12
    roof = canvas.edge(np.abs(canvas.u - u) - (wide + 0.045) * (1 - rise)) * ((rise > 0) & (rise < 1))
    canvas.over(white, roof)
    canvas.over(white * 0.8, canvas.box(u - wide - 0.045, u + wide + 0.045, base - tall + 0.012, base - tall + 0.026))
    canvas.over(wood * 0.7, canvas.box(u + 0.05, u + 0.08, base - tall - 0.13, base - tall - 0.05))


def _snowman(canvas: Canvas, white: Array, shade: Array, u: float, foot: float, side: float) -> None:
    """Three balls, a carrot and a hat."""
    v = foot
    for radius in (0.085, 0.060, 0.044):
        v -= radius
        across = (canvas.u - u) / radius * side
        canvas.over(shade * 0.9 + (white - shade * 0.9) * smooth(-across, -0.9, 0.6), canvas.disc(u, v, radius, radius))
        v -= radius * 0.72
    head = v + 0.044 * 0.72
    canvas.over(colour(0.95, 0.45, 0.12), canvas.disc(u - 0.022 * side, head + 0.004, 0.026, 0.009))
    for eye in (-0.018, 0.010):
        canvas.over(colour(0.08, 0.08, 0.09), canvas.disc(u + eye - 0.004 * side, head - 0.014, 0.007, 0.007))
    canvas.over(colour(0.12, 0.12, 0.15), canvas.box(u - 0.05, u + 0.05, head - 0.046, head - 0.034))
    canvas.over(colour(0.12, 0.12, 0.15), canvas.box(u - 0.032, u + 0.032, head - 0.095, head - 0.036))
    canvas.over(colour(0.80, 0.16, 0.16), canvas.box(u - 0.046, u + 0.046, head + 0.034, head + 0.052))
