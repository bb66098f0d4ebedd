"""Products that stand on a table: mug, lamp, jar, teapot."""

from __future__ import annotations

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, as_colour, mix, smooth
from training.world.lettering import lettering
from training.world.trimmings import GOLD, ball_shade, trim_colour, tube


def mug(body: Body, base: Array) -> None:
    """A mug with a handle on one side and coffee in it."""
    rng = body.rng
    side, wide = (1.0 if rng.random() < 0.5 else -1.0), float(rng.uniform(0.33, 0.38))
    shift = -0.09 * side
    ring = (
        np.abs(np.sqrt(((body.x - shift - side * wide) / 0.19) ** 2 + ((body.y - 0.48) / 0.27) ** 2) - 1) * 0.19 - 0.042
    )
    body.paint(np.asarray(ring, np.float32), base, body.flat_shade(0.2))
    x, body.x = body.x, body.x - shift
    radius = wide * (1 - 0.10 * smooth(-body.y, -0.14, 0.0)) * np.ones_like(body.y)
    body.paint(body.turned(radius, 0.0, 0.92, 0.18), base, body.round_shade(radius, 0.45))
    if rng.random() < 0.6:
        curve = 0.06 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
        band = np.abs(body.y + curve - float(rng.uniform(0.25, 0.62))) - float(rng.uniform(0.03, 0.09))
        body.paint(np.asarray(band, np.float32), trim_colour(body, base), body.round_shade(radius, 0.3), solid=False)
    if rng.random() < 0.5:
        ink = (0.97, 0.96, 0.93) if float(base.mean()) < 0.55 else (0.14, 0.13, 0.14)
        bow = 0.06 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
        body.paint(lettering(body, 0, 0.74, wide * 1.1, bow), ink, body.round_shade(radius, 0.2), solid=False)
    body.paint(body.ellipse(0, 0.92, wide, 0.072), mix(base, (1, 1, 1), 0.35), body.flat_shade(0))
    body.paint(body.ellipse(0, 0.912, wide * 0.90, 0.056), as_colour((0.26, 0.14, 0.08)))
    body.x = x


def lamp(body: Body, base: Array) -> None:
    """A table lamp: foot, stem and a shade that glows."""
    rng = body.rng
    metal = GOLD if rng.random() < 0.5 else as_colour((0.20, 0.19, 0.20))
    foot = np.full_like(body.y, float(rng.uniform(0.17, 0.22)))
    body.paint(body.turned(foot, 0.0, 0.045, 0.25), metal, body.round_shade(foot, 0.5))
    if rng.random() < 0.5:
        belly = 0.035 + 0.10 * np.exp(-(((body.y - 0.22) / 0.13) ** 2))
        body.paint(body.turned(belly, 0.03, 0.56, 0.05), mix(base, (1, 1, 1), 0.2), body.round_shade(belly, 0.6))
    else:
        stem = np.full_like(body.y, 0.024)
        body.paint(body.turned(stem, 0.03, 0.6, 0.05), metal, body.round_shade(stem, 0.5))
    low, high = float(rng.uniform(0.30, 0.36)), float(rng.uniform(0.16, 0.28))
    radius = low + (high - low) * np.clip((body.y - 0.52) / 0.48, 0, 1)
    glow = 0.35 * np.exp(-((body.x / 0.20) ** 2) - (((body.y - 0.66) / 0.20) ** 2))
    diffuse, shine = body.round_shade(radius, 0.05)
    body.paint(
        body.turned(radius, 0.52, 1.0, 0.14),
        base,
        (0.35 + 0.65 * diffuse + glow, np.asarray(shine + 0.55 * glow, np.float32)),
    )
    for level in (0.545, 0.985):
        body.paint(np.asarray(np.abs(body.y - level + 0.01) - 0.012, np.float32), base * 0.7, None, solid=False)


def jar(body: Body, base: Array) -> None:
    """A jar with a lid and a label: either opaque, for cream, or of glass with jam in it."""
    rng = body.rng
    wide, lid = float(rng.uniform(0.33, 0.40)), float(rng.uniform(0.20, 0.30))
    neck, cream = 1.0 - lid, rng.random() < 0.5
    radius = wide * (1 - 0.16 * smooth(body.y, neck - 0.13, neck) - 0.10 * smooth(-body.y, -0.07, 0.01))
    shade = body.round_shade(radius, 0.55)
    body.paint(body.turned(radius, 0.0, neck + 0.02, 0.16), base if cream else mix(base, (1, 1, 1), 0.55), shade)
    if not cream:
        level = neck - float(rng.uniform(0.06, 0.14))
        filling = np.maximum(np.abs(body.x) - radius + 0.030, np.maximum(0.045 - body.y, body.y - level))
        body.paint(np.asarray(filling, np.float32), base * (0.80 + 0.30 * body.y), shade, 2.0, solid=False)
    trim = trim_colour(body, base)
    curve = 0.05 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    middle, tall = neck * 0.46, float(rng.uniform(0.13, 0.20))
    label = np.abs(body.y + curve - middle - 0.04) - tall
    if rng.random() < 0.5:
        label = np.maximum(label, np.abs(body.x) - wide * 0.66)
    paper = mix(trim, (0.97, 0.96, 0.92), 0.75)
    body.paint(np.asarray(label, np.float32), paper, body.round_shade(radius, 0.2), solid=False)
    if rng.random() < 0.5:
        badge = body.ellipse(0, middle, 0.08, 0.08)
    else:
        badge = np.asarray(
            np.maximum(np.abs(body.y + curve - middle - 0.05) - 0.028, np.abs(body.x) - 0.17), np.float32
        )
    body.paint(badge, mix(base, paper, 0.15), None, solid=False)
    name = lettering(body, 0, middle + 0.04 + 0.62 * tall, wide * 1.0, curve)
    body.paint(name, mix(base, (0, 0, 0), 0.5), body.round_shade(radius, 0.2), solid=False)
    cap = np.full_like(body.y, wide * (0.96 if cream else 0.90))
    paint = trim if rng.random() < 0.6 else base * 0.72
    ribs = 1 + (0.10 * np.cos(body.x / wide * 38) if rng.random() < 0.5 else 0.0)
    body.paint(body.turned(cap, neck, 0.965, 0.16), paint * ribs, body.round_shade(cap, 0.5))
    body.paint(body.ellipse(0, 0.955, float(cap[0, 0]), 0.045), mix(paint, (1, 1, 1), 0.22), body.flat_shade(0.1))


def teapot(body: Body, base: Array) -> None:
    """A round belly with a spout on one side, a handle on the other, a lid and its knob."""
    rng = body.rng
    side, wide = (1.0 if rng.random() < 0.5 else -1.0), float(rng.uniform(0.38, 0.44))
    tall = float(rng.uniform(0.38, 0.42))
    trim = trim_colour(body, base)
    handle = base if rng.random() < 0.6 else mix(trim, (0.35, 0.22, 0.14), 0.4)
    grip = tube(
        body,
        ((-side * wide * 0.72, 0.68), (-side * (wide + 0.50), 0.66), (-side * wide * 0.80, 0.18)),
        (0.040, 0.034),
        34,
    )
    body.paint(grip, handle, body.flat_shade(0.2))
    tip = float(rng.uniform(0.66, 0.76))
    spout = tube(
        body,
        ((side * wide * 0.70, 0.28), (side * (wide + 0.14), 0.28), (side * (wide + 0.25), tip)),
        (0.115, 0.045),
        30,
    )
    body.paint(spout, base, ball_shade(body, side * (wide + 0.08), 0.46, 0.24, 0.30, 0.35))
    mouth = body.ellipse(side * (wide + 0.25), tip + 0.032, 0.036, 0.014)
    body.paint(mouth, base * 0.35, None, solid=False)
    foot = np.full_like(body.y, wide * 0.58)
    body.paint(body.turned(foot, 0.0, 0.10, 0.12), base * 0.85, body.round_shade(foot, 0.3))
    belly = np.maximum(body.ellipse(0, tall + 0.02, wide, tall), 0.025 - body.y)
    shade = ball_shade(body, 0, tall + 0.02, wide, tall, 0.60)
    body.paint(np.asarray(belly, np.float32), base, shade)
    bend = 0.06 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    pattern = int(rng.integers(4))
    if pattern == 1:
        band = np.abs(body.y + bend - float(rng.uniform(0.36, 0.52))) - float(rng.uniform(0.03, 0.07))
        body.paint(np.asarray(np.maximum(band, belly), np.float32), trim, shade, solid=False)
    elif pattern == 2:
        for x, y in ((-0.20, 0.40), (0.0, 0.32), (0.20, 0.40), (-0.10, 0.56), (0.10, 0.56)):
            body.paint(body.ellipse(x, y, 0.042, 0.042), mix(trim, (1, 1, 1), 0.3), shade, solid=False)
    elif pattern == 3:
        lower = np.maximum(body.y + bend - 0.38, belly)
        body.paint(np.asarray(lower, np.float32), mix(base, trim, 0.55), shade, solid=False)
    top = 2 * tall + 0.02
    lid = np.maximum(body.ellipse(0, top - 0.055, wide * 0.58, 0.105), top - 0.075 - body.y)
    metal = rng.random() < 0.3
    body.paint(np.asarray(lid, np.float32), trim if metal else base, ball_shade(body, 0, top - 0.06, wide * 0.6, 0.12))
    rim = np.maximum(np.abs(body.y - top + 0.075) - 0.012, np.abs(body.x) - wide * 0.57)
    body.paint(np.asarray(rim, np.float32), base * 0.6, None, solid=False)
    knob = 0.5 * (1.0 - top - 0.03)
    body.paint(body.ellipse(0, 1.0 - knob, 0.055, knob), trim, ball_shade(body, 0, 1.0 - knob, 0.06, knob))
