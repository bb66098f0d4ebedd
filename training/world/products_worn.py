"""Products that people wear or carry: shoe, watch, handbag, backpack, headphones."""

from __future__ import annotations

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, as_colour, mix, smooth
from training.world.trimmings import GOLD, STEEL, ball_shade, trim_colour, tube


def shoe(body: Body, base: Array) -> None:
    """A sneaker from the side: sole, upper, toe cap, stripe and laces."""
    rng = body.rng
    # Lengths are in heights: a shoe is 1.75 heights long.
    side = 1.0 if rng.random() < 0.5 else -1.0
    x = body.x * side
    half = 0.86
    t = np.clip((x + half) / (2 * half), 0, 1)
    collar = float(rng.uniform(0.86, 0.98))
    top = collar - 0.10 * np.exp(-(((t - 0.20) / 0.10) ** 2))
    top = top * (1 - smooth(t, 0.34, 0.66)) + 0.46 * smooth(t, 0.34, 0.66)
    top = top - 0.26 * smooth(t, 0.80, 1.02)
    heel = np.sqrt(np.clip(1 - np.clip((0.10 - t) / 0.10, 0, 1) ** 2, 0, 1))
    upper = np.maximum(np.maximum(body.y - top * (0.55 + 0.45 * heel), 0.14 - body.y), np.abs(x) - half + 0.02)
    diffuse = 0.72 + 0.30 * body.y + 0.16 * body.x * body.light.side
    shade = (
        np.asarray(diffuse, np.float32),
        np.asarray(0.18 * np.exp(-(((body.y - top + 0.12) / 0.07) ** 2)), np.float32),
    )
    body.paint(np.asarray(upper * 0.8, np.float32), base, shade)
    trim = trim_colour(body, base)
    toe = np.asarray(np.maximum(0.80 - t + 0.10 * (body.y - 0.2), body.y - 0.40), np.float32)
    body.paint(toe, mix(base, trim, 0.45), shade, solid=False)
    body.paint(np.asarray(np.maximum(t - 0.115, body.y - 0.70), np.float32), mix(base, trim, 0.6), shade, solid=False)
    for n in range(int(rng.integers(1, 4))):
        stripe = np.abs(t - 0.40 - 0.075 * n + 0.16 * (body.y - 0.2)) - 0.020
        body.paint(np.asarray(np.maximum(stripe, body.y - top + 0.10), np.float32), trim, shade, solid=False)
    for n in range(4):
        at = 0.40 + 0.065 * n
        lace = np.abs(body.y - (top - 0.03) - 0.5 * (t - at)) - 0.016
        body.paint(
            np.asarray(np.maximum(lace, np.abs(t - at) - 0.024), np.float32),
            as_colour((0.97, 0.97, 0.95)),
            None,
            solid=False,
        )
    opening = np.sqrt(((t - 0.205) / 0.115) ** 2 + ((body.y - collar - 0.01) / 0.075) ** 2) - 1
    body.paint(np.asarray(opening * 0.1, np.float32), base * 0.35, None, solid=False)
    sole = body.box(0, 0.09, half, 0.09, 0.07)
    body.paint(
        sole,
        as_colour((0.95, 0.95, 0.93)) if rng.random() < 0.75 else mix(base, (0, 0, 0), 0.6),
        (np.asarray(0.80 + body.y * 1.4, np.float32), np.zeros_like(body.y)),
    )
    body.paint(np.asarray(np.abs(body.y - 0.075) - 0.010, np.float32) + 0 * body.x, trim, None, solid=False)


def watch(body: Body, base: Array) -> None:
    """A wrist watch upright on its strap."""
    rng = body.rng
    strap = float(rng.uniform(0.12, 0.155))
    taper = strap * (1 - 0.25 * np.abs(body.y - 0.5) * 2)
    body.paint(body.box(0, 0.5, taper, 0.5, 0.03), base * 0.85, body.round_shade(strap, 0.25))
    for y in (0.10, 0.16, 0.22):
        body.paint(body.ellipse(0, y, 0.016, 0.016), base * 0.35, None, solid=False)
    metal = (GOLD, STEEL, as_colour((0.16, 0.16, 0.18)))[int(rng.integers(3))]
    square = rng.random() < 0.35
    radius = float(rng.uniform(0.22, 0.26))
    side = body.box(radius, 0.5, 0.03, 0.03, 0.01)
    body.paint(side, metal * 0.9)
    case = body.box(0, 0.5, radius, radius, 0.07) if square else body.ellipse(0, 0.5, radius, radius)
    body.paint(case, metal, body.round_shade(radius, 0.5))
    dark = rng.random() < 0.5
    dial = as_colour((0.08, 0.09, 0.12)) if dark else as_colour((0.95, 0.95, 0.93))
    ink = as_colour((0.95, 0.95, 0.93)) if dark else as_colour((0.10, 0.10, 0.12))
    body.paint(np.asarray(case + 0.038, np.float32), dial, body.flat_shade(0.16), solid=False)
    for hour in range(0, 12, 3):
        a = hour * np.pi / 6
        body.paint(
            body.ellipse(float(np.sin(a)) * (radius - 0.075), 0.5 + float(np.cos(a)) * (radius - 0.075), 0.016, 0.016),
            ink,
            None,
            solid=False,
        )
    for angle, reach in ((float(rng.uniform(-1.2, 1.2)), radius - 0.09), (float(rng.uniform(1.6, 3.6)), radius - 0.13)):
        dx, dy = float(np.sin(angle)), float(np.cos(angle))
        along = np.clip(body.x * dx + (body.y - 0.5) * dy, 0, reach)
        hand = np.sqrt((body.x - along * dx) ** 2 + (body.y - 0.5 - along * dy) ** 2) - 0.010
        body.paint(np.asarray(hand, np.float32), mix(ink, base, 0.2), None, solid=False)


def handbag(body: Body, base: Array) -> None:
    """A soft trapezoid with a flap, a clasp and a handle."""
    rng = body.rng
    low, high = float(rng.uniform(0.44, 0.52)), float(rng.uniform(0.36, 0.42))
    tall = float(rng.uniform(0.58, 0.66))
    arch = np.abs(np.sqrt((body.x / 0.24) ** 2 + ((body.y - tall + 0.04) / (1.0 - tall)) ** 2) - 1) * 0.24 - 0.028
    body.paint(np.asarray(np.maximum(arch, tall - 0.06 - body.y), np.float32), base * 0.72, body.flat_shade(0.1))
    half = low + (high - low) * np.clip(body.y / tall, 0, 1)
    shade = body.flat_shade(0.14)
    body.paint(body.box(0, tall / 2, half, tall / 2, 0.07), base, shade)
    flap = float(rng.uniform(0.30, 0.42))
    drop = tall - flap * np.sqrt(np.clip(1 - (body.x / (high + 0.03)) ** 2, 0, 1))
    body.paint(
        np.asarray(np.maximum(drop + 0.022 - body.y, np.abs(body.x) - half + 0.01), np.float32),
        base * 0.55,
        None,
        solid=False,
    )
    body.paint(
        np.asarray(np.maximum(drop + 0.035 - body.y, np.abs(body.x) - half + 0.01), np.float32),
        mix(base, (1, 1, 1), 0.10),
        shade,
        solid=False,
    )
    metal = GOLD if rng.random() < 0.7 else STEEL
    body.paint(body.box(0, tall - flap + 0.03, 0.05, 0.045, 0.015), metal, body.flat_shade(0.3), solid=False)
    for side in (-1, 1):
        body.paint(body.ellipse(side * 0.235, tall - 0.03, 0.028, 0.028), metal, None, solid=False)


def headphones(body: Body, base: Array) -> None:
    """Over-ear headphones seen from the front: a padded band, sliders, cushions and two cups."""
    rng = body.rng
    reach, tall = float(rng.uniform(0.33, 0.37)), float(rng.uniform(0.21, 0.25))
    deep, turn = float(rng.uniform(0.095, 0.13)), float(rng.uniform(-0.025, 0.025))
    trim = trim_colour(body, base)
    dark = mix(base, (0.08, 0.08, 0.09), 0.72)
    arch = np.sqrt((body.x / (reach + 0.015)) ** 2 + ((body.y - 0.42) / 0.545) ** 2) - 1
    above = 0.36 - body.y
    band = np.maximum(np.abs(arch * 0.42) - 0.034, above)
    body.paint(np.asarray(band, np.float32), base, body.flat_shade(0.35))
    pad = np.maximum(np.abs(arch * 0.42 + 0.035) - 0.030, np.abs(body.x) - reach * 0.66)
    body.paint(np.asarray(np.maximum(pad, 0.6 - body.y), np.float32), dark, body.flat_shade(0.1))
    for side in (-1, 1):
        cx, cy, half = side * reach, tall + 0.002, deep + side * turn
        rod = tube(body, ((cx * 1.02, 0.62), (cx * 1.05, 0.50), (cx * 1.0, 0.36)), (0.026, 0.026), 16)
        body.paint(rod, trim, body.flat_shade(0.4))
        inner = cx - side * half * 0.55
        body.paint(
            body.box(inner, cy, half * 0.62, tall * 0.96, 0.06), dark, ball_shade(body, inner, cy, half, tall, 0.1)
        )
        outer = cx + side * half * 0.22
        shell = body.box(outer, cy, half * 0.80, tall, min(half * 0.78, 0.11))
        shade = ball_shade(body, outer, cy, half * 1.05, tall * 1.15, 0.50)
        body.paint(shell, base, shade)
        ring = np.abs(body.ellipse(outer + side * half * 0.12, cy, half * 0.48, tall * 0.62)) - 0.011
        body.paint(np.asarray(ring, np.float32), trim, shade, solid=False)
        if rng.random() < 0.5:
            disc = body.ellipse(outer + side * half * 0.12, cy, half * 0.30, tall * 0.40)
            body.paint(disc, mix(base, trim, 0.5), shade, solid=False)


def backpack(body: Body, base: Array) -> None:
    """A backpack from the front: shoulder straps behind, side pockets, body, front pocket, zips and a handle."""
    rng = body.rng
    wide, top = float(rng.uniform(0.30, 0.35)), float(rng.uniform(0.90, 0.93))
    trim = trim_colour(body, base)
    leather = as_colour((0.45, 0.28, 0.16))
    strap = leather if rng.random() < 0.35 else mix(base, (0.06, 0.06, 0.07), 0.6)
    loop = tube(body, ((-0.09, top - 0.05), (0.0, 1.0 + (1.0 - top) * 0.7), (0.09, top - 0.05)), (0.022, 0.022))
    body.paint(loop, strap, body.flat_shade(0.1))
    for side in (-1, 1):
        arm = tube(
            body, ((side * wide * 0.8, 0.72), (side * (wide + 0.14), 0.52), (side * wide * 0.8, 0.06)), (0.030, 0.022)
        )
        body.paint(arm, strap * 0.9, body.flat_shade(0.1))
        if wide < 0.335:
            pouch = body.box(side * wide, 0.19, 0.065, 0.15, 0.055)
            body.paint(pouch, base * 0.78, body.flat_shade(0.1))
    half = wide * (1.0 - 0.14 * smooth(body.y, 0.35, 1.0))
    main = body.box(0, top / 2, half, top / 2, float(rng.uniform(0.13, 0.20)))
    shade = ball_shade(body, 0, 0.48, wide * 1.25, 0.70, 0.12)
    body.paint(main, base, shade)
    zipper = np.maximum(np.abs(main + 0.055) - 0.010, 0.46 - body.y)
    body.paint(np.asarray(zipper, np.float32), base * 0.45, None, solid=False)
    two_tone = rng.random() < 0.5
    low = mix(base, trim, 0.35) if two_tone else mix(base, (1, 1, 1), 0.08)
    height = float(rng.uniform(0.18, 0.22))
    pocket = body.box(0, 0.06 + height, wide * 0.74, height, 0.07)
    body.paint(np.asarray(pocket - 0.016, np.float32), base * 0.48, None, solid=False)
    body.paint(pocket, low, shade, solid=False)
    seam = np.maximum(np.abs(body.y - 0.06 - height * 1.55) - 0.011, np.abs(body.x) - wide * 0.60)
    body.paint(np.asarray(seam, np.float32), low * 0.45, None, solid=False)
    pull = body.box(wide * 0.44, 0.02 + height * 1.50, 0.014, 0.035, 0.01)
    body.paint(pull, GOLD if rng.random() < 0.5 else STEEL, None, solid=False)
    kind = int(rng.integers(3))
    if kind == 0:
        for side in (-1, 1):
            body.paint(body.box(side * wide * 0.42, top / 2, 0.024, top / 2 - 0.02), strap, shade, solid=False)
            body.paint(body.box(side * wide * 0.42, 0.56, 0.038, 0.030, 0.008), trim, shade, solid=False)
    elif kind == 1:
        body.paint(body.box(0, 0.66, 0.085, 0.055, 0.015), leather if rng.random() < 0.5 else trim, shade, solid=False)
    else:
        upper = body.box(0, 0.66, wide * 0.60, 0.085, 0.04)
        body.paint(np.asarray(upper - 0.013, np.float32), base * 0.5, None, solid=False)
        body.paint(upper, low, shade, solid=False)
