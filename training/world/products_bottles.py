"""Products in bottles and tins: bottle, can, perfume."""

from __future__ import annotations

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, mix, smooth
from training.world.lettering import lettering
from training.world.trimmings import GOLD, STEEL, trim_colour


def bottle(body: Body, base: Array) -> None:
    """A turned bottle with shoulder, neck, cap and label."""
    rng = body.rng
    wide, neck = float(rng.uniform(0.15, 0.19)), float(rng.uniform(0.050, 0.065))
    shoulder = float(rng.uniform(0.52, 0.66))
    radius = wide + (neck - wide) * smooth(body.y, shoulder, shoulder + float(rng.uniform(0.12, 0.22)))
    radius = radius * (1 - 0.18 * smooth(-body.y, -0.035, 0.0))
    shade = body.round_shade(radius, 0.65)
    glass = mix(base, (1, 1, 1), 0.08) * (0.80 + 0.30 * np.abs(body.x) / wide)
    body.paint(body.turned(radius, 0.0, 0.90), glass, shade)
    cap = np.full_like(body.y, neck * 1.22)
    body.paint(body.turned(cap, 0.88, 1.0, 0.03), trim_colour(body, base), body.round_shade(cap, 0.5))
    label = trim_colour(body, base)
    low, high = 0.16, shoulder - 0.10
    curve = 0.035 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    band = np.maximum(low - (body.y + curve), body.y + curve - high)
    body.paint(np.asarray(band, np.float32), label, body.round_shade(radius, 0.25), solid=False)
    stripe = np.abs(body.y + curve - (low + high) / 2) - float(rng.uniform(0.015, 0.05))
    body.paint(np.asarray(stripe, np.float32), mix(base, label, 0.15), body.round_shade(radius, 0.2), solid=False)
    name = lettering(body, 0, high - 0.055, wide * 1.5, curve)
    body.paint(name, mix(base, (0, 0, 0), 0.4), body.round_shade(radius, 0.2), solid=False)


def can(body: Body, base: Array) -> None:
    """A drink can with metal rims and a slanted stripe."""
    rng = body.rng
    wide = float(rng.uniform(0.25, 0.30))
    radius = wide * (1 - 0.16 * smooth(body.y, 0.90, 0.99) - 0.14 * smooth(-body.y, -0.05, 0.01))
    body.paint(body.turned(radius, 0.0, 1.0, 0.16), base, body.round_shade(radius, 0.45))
    curve = 0.05 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    trim = trim_colour(body, base)
    slant = float(rng.uniform(-0.6, 0.6))
    stripe = np.abs(body.y + curve - 0.52 - slant * body.x) - float(rng.uniform(0.05, 0.12))
    body.paint(np.asarray(stripe, np.float32), trim, body.round_shade(radius, 0.4), solid=False)
    if rng.random() < 0.6:
        body.paint(
            body.ellipse(0, 0.52, 0.10, 0.10), mix(base, (1, 1, 1), 0.75), body.round_shade(radius, 0.3), solid=False
        )
    ink = (0.97, 0.96, 0.93) if float(base.mean()) < 0.6 else (0.12, 0.12, 0.14)
    name = lettering(body, 0, float(rng.uniform(0.22, 0.80)), wide * 1.5, curve)
    body.paint(name, mix(ink, base, 0.1), body.round_shade(radius, 0.3), solid=False)
    for low, high in ((-0.1, 0.05), (0.90, 1.1)):
        rim = np.maximum(low - (body.y + curve * 0.6), body.y + curve * 0.6 - high)
        body.paint(np.asarray(rim, np.float32), STEEL, body.round_shade(radius, 0.6), solid=False)
    body.paint(body.ellipse(0, 0.985, wide * 0.80, 0.035), STEEL * 0.78)


def perfume(body: Body, base: Array) -> None:
    """A block of thick glass with liquid in it, a collar and a cap."""
    rng = body.rng
    wide, tall = float(rng.uniform(0.24, 0.33)), float(rng.uniform(0.58, 0.70))
    radius = float(rng.uniform(0.02, 0.10))
    shade = body.flat_shade(0.40)
    body.paint(body.box(0, tall / 2, wide, tall / 2, radius), mix(base, (1, 1, 1), 0.45), shade)
    inner = body.box(0, tall / 2 - 0.005, wide - 0.045, tall / 2 - 0.055, max(radius - 0.03, 0.012))
    body.paint(inner, base * (0.72 + 0.40 * body.y / tall), shade, solid=False)
    body.paint(body.box(0, tall * 0.45, wide * 0.52, tall * 0.17, 0.01), mix(base, (1, 1, 1), 0.72), shade, solid=False)
    body.paint(lettering(body, 0, tall * 0.48, wide * 0.86), mix(base, (0, 0, 0), 0.5), None, solid=False)
    body.paint(body.box(0, tall * 0.34, wide * 0.30, tall * 0.010), mix(base, (0, 0, 0), 0.35), None, solid=False)
    body.paint(body.box(0, tall + 0.025, 0.085, 0.035), GOLD, body.round_shade(0.085, 0.6))
    cap = float(rng.uniform(0.10, 0.14))
    high = 1.0 - (tall + 0.05)
    body.paint(
        body.box(0, tall + 0.05 + high / 2, cap, high / 2, 0.02), trim_colour(body, base), body.round_shade(cap, 0.6)
    )
