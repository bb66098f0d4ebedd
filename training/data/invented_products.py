"""Invented products: random shapes with random surfaces, which teach the segmenter "the thing in front".

A segmenter that sees only ten kinds of product learns those ten. Invented products are turned bodies with handles,
knobs, spouts and straps, painted with shading, stripes and labels. They share no code with `training.world`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def _curve(rng: np.random.Generator, count: int, low: float, high: float) -> Array:
    """A random function at `count` points, between two values; smooth in 70 % of the cases, else with corners."""
    knots = rng.uniform(low, high, int(rng.integers(2, 6)))
    places = np.linspace(0, len(knots) - 1, count)
    whole = np.clip(places.astype(int), 0, len(knots) - 2)
    share = places - whole
    if rng.random() < 0.7:
        share = share * share * (3 - 2 * share)
    return np.asarray(knots[whole] * (1 - share) + knots[whole + 1] * share, np.float32)


def _turn(u: Array, v: Array, cu: float, cv: float, angle: float) -> tuple[Array, Array]:
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return (u - cu) * c + (v - cv) * s, -(u - cu) * s + (v - cv) * c


def _body(rng: np.random.Generator, u: Array, v: Array, half: float, pixel: float) -> Array:
    """Coverage of the main body: a turned profile, a rounded box or an ellipse."""
    kind = rng.random()
    if kind < 0.55:
        height = u.shape[0]
        profile = _curve(rng, height, 0.25 * half, half)
        rounding = np.clip((1 - np.abs(v[:, :1])) / float(rng.uniform(0.02, 0.3)), 0, 1)
        width = profile[:, None] * np.sqrt(1 - (1 - rounding) ** 2)
        slope = np.gradient(width[:, 0])[:, None] / pixel
        distance = np.minimum((width - np.abs(u)) / np.sqrt(1 + slope**2), 1 - np.abs(v))
    elif kind < 0.85:
        round_by = float(rng.uniform(0.05, 0.9)) * min(half, 1.0)
        du, dv = np.abs(u) - half + round_by, np.abs(v) - 1 + round_by
        outside = np.sqrt(np.maximum(du, 0) ** 2 + np.maximum(dv, 0) ** 2)
        distance = round_by - outside - np.minimum(np.maximum(du, dv), 0)
    else:
        radius = np.sqrt((u / half) ** 2 + v**2)
        distance = (1 - radius) * min(half, 1.0)
    return np.asarray(np.clip(distance / pixel + 0.5, 0, 1), np.float32)


def _part(rng: np.random.Generator, u: Array, v: Array, half: float, pixel: float) -> Array:
    """Coverage of an attached part: a ring (handle, strap) or a limb (knob, spout, foot)."""
    side = float(rng.choice((-1.0, 1.0)))
    if rng.random() < 0.5:
        cu, cv = (side * half, float(rng.uniform(-0.5, 0.5))) if rng.random() < 0.6 else (0.0, -1.0)
        x, y = _turn(u, v, cu, cv, 0.0)
        ru, rv = float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.15, 0.5))
        distance = float(rng.uniform(0.03, 0.09)) - np.abs(np.sqrt((x / ru) ** 2 + (y / rv) ** 2) - 1) * min(ru, rv)
    else:
        x, y = _turn(
            u, v, side * half * float(rng.uniform(0, 1)), float(rng.uniform(-1, 1)), float(rng.uniform(-1.6, 1.6))
        )
        long, wide = float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.05, 0.25))
        distance = wide - np.sqrt(np.maximum(np.abs(x) - long, 0) ** 2 + y**2)
    return np.asarray(np.clip(distance / pixel + 0.5, 0, 1), np.float32)


def _surface(rng: np.random.Generator, u: Array, v: Array, half: float) -> Array:
    """Colours [3, H, W]: a base tone with up to three bands, labels or stripes, shading and a highlight."""
    base = rng.uniform(0.03, 0.97, (3, 1, 1)).astype(np.float32)
    if rng.random() < 0.35:
        base[:] = float(base.mean()) + (base - base.mean()) * 0.15
    planes = np.broadcast_to(base, (3, *u.shape)).copy()
    for _ in range(int(rng.integers(0, 4))):
        tone = rng.uniform(0.0, 1.0, (3, 1, 1)).astype(np.float32)
        angle = float(rng.choice((0.0, 0.0, np.pi / 2, rng.uniform(0, np.pi))))
        x, y = _turn(u, v, float(rng.uniform(-0.3, 0.3)) * half, float(rng.uniform(-0.8, 0.8)), angle)
        kind = rng.random()
        if kind < 0.4:
            where = np.abs(y) < float(rng.uniform(0.03, 0.35))
        elif kind < 0.7:
            where = (np.abs(x) < half * float(rng.uniform(0.2, 0.7))) & (np.abs(y) < float(rng.uniform(0.1, 0.5)))
        else:
            where = np.sin(y * float(rng.uniform(8, 40))) > float(rng.uniform(-0.3, 0.8))
        planes = np.where(where, tone, planes)
    light = float(rng.uniform(-0.7, 0.7))
    across = np.clip(u / max(half, 0.1), -1.3, 1.3)
    shade = 1 - float(rng.uniform(0.1, 0.6)) * (across - light) ** 2 / 2 - float(rng.uniform(0, 0.25)) * (v + 1) / 2
    gloss = float(rng.uniform(0, 0.7)) * np.exp(-(((across - light) / float(rng.uniform(0.05, 0.3))) ** 2))
    noise = float(rng.choice((0.0, 0.0, 0.02, 0.06))) * rng.standard_normal(u.shape).astype(np.float32)
    return np.asarray(np.clip(planes * shade + gloss + noise, 0, 1), np.float32)


def invented_product(rng: np.random.Generator, size: int = 256) -> Array:
    """One invented product in the centre, RGBA [4, size, size] in [0, 1], not premultiplied."""
    height = float(rng.uniform(0.25, 0.62)) * size
    half = float(rng.uniform(0.25, 1.4)) if rng.random() < 0.8 else float(rng.uniform(1.2, 1.8))
    height = min(height, 0.85 * size / max(half, 0.5) / 1.6)
    pixel = 2 / height
    middle = (np.arange(size, dtype=np.float32) - size / 2 + 0.5) * pixel
    v, u = np.meshgrid(middle, middle, indexing="ij")
    u, v = _turn(u, v, 0.0, 0.0, float(rng.normal(0, 0.12)) if rng.random() < 0.5 else 0.0)
    u = u + float(rng.normal(0, 0.08)) * v
    coverage = np.zeros_like(u)
    planes = np.zeros((3, *u.shape), np.float32)
    parts = [_part] * int(rng.integers(0, 4)) + [_body]
    if rng.random() < 0.3:
        parts.append(_part)
    colours = _surface(rng, u, v, half)
    for part in parts:
        covered = part(rng, u, v, half, pixel)
        own = _surface(rng, u, v, half) if rng.random() < 0.5 else colours
        planes = planes * (1 - covered) + own * covered
        coverage = np.maximum(coverage, covered)
    whole = np.concatenate([planes / np.maximum(coverage, 1e-3), coverage[None]])
    return np.asarray(np.clip(whole, 0, 1), np.float32)
