"""The products: each function paints one kind, with its own proportions, materials and trimmings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, as_colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import Light

GOLD, STEEL = as_colour((0.85, 0.66, 0.34)), as_colour((0.76, 0.78, 0.81))


def _trim(body: Body, base: Array) -> Array:
    """A second colour that stands off from the first."""
    options = (GOLD, STEEL, as_colour((0.95, 0.94, 0.91)), as_colour((0.12, 0.12, 0.14)))
    pick = options[int(body.rng.integers(len(options)))]
    return pick if float(np.abs(pick - base).mean()) > 0.15 else options[2 if float(base.mean()) < 0.5 else 3]


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
    body.paint(body.turned(cap, 0.88, 1.0, 0.03), _trim(body, base), body.round_shade(cap, 0.5))
    label = _trim(body, base)
    low, high = 0.16, shoulder - 0.10
    curve = 0.035 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    band = np.maximum(low - (body.y + curve), body.y + curve - high)
    body.paint(np.asarray(band, np.float32), label, body.round_shade(radius, 0.25), solid=False)
    stripe = np.abs(body.y + curve - (low + high) / 2) - float(rng.uniform(0.015, 0.05))
    body.paint(np.asarray(stripe, np.float32), mix(base, label, 0.15), body.round_shade(radius, 0.2), solid=False)


def can(body: Body, base: Array) -> None:
    """A drink can with metal rims and a slanted stripe."""
    rng = body.rng
    wide = float(rng.uniform(0.25, 0.30))
    radius = wide * (1 - 0.16 * smooth(body.y, 0.90, 0.99) - 0.14 * smooth(-body.y, -0.05, 0.01))
    body.paint(body.turned(radius, 0.0, 1.0, 0.16), base, body.round_shade(radius, 0.45))
    curve = 0.05 * np.sqrt(np.clip(1 - (body.x / wide) ** 2, 0, 1))
    trim = _trim(body, base)
    slant = float(rng.uniform(-0.6, 0.6))
    stripe = np.abs(body.y + curve - 0.52 - slant * body.x) - float(rng.uniform(0.05, 0.12))
    body.paint(np.asarray(stripe, np.float32), trim, body.round_shade(radius, 0.4), solid=False)
    if rng.random() < 0.6:
        body.paint(
            body.ellipse(0, 0.52, 0.10, 0.10), mix(base, (1, 1, 1), 0.75), body.round_shade(radius, 0.3), solid=False
        )
    for low, high in ((-0.1, 0.05), (0.90, 1.1)):
        rim = np.maximum(low - (body.y + curve * 0.6), body.y + curve * 0.6 - high)
        body.paint(np.asarray(rim, np.float32), STEEL, body.round_shade(radius, 0.6), solid=False)
    body.paint(body.ellipse(0, 0.985, wide * 0.80, 0.035), STEEL * 0.78)


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
        body.paint(np.asarray(band, np.float32), _trim(body, base), body.round_shade(radius, 0.3), solid=False)
    body.paint(body.ellipse(0, 0.92, wide, 0.072), mix(base, (1, 1, 1), 0.35), body.flat_shade(0))
    body.paint(body.ellipse(0, 0.912, wide * 0.90, 0.056), as_colour((0.26, 0.14, 0.08)))
    body.x = x


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
    body.paint(body.box(0, tall * 0.45, wide * 0.34, tall * 0.018), mix(base, (0, 0, 0), 0.35), None, solid=False)
    body.paint(body.box(0, tall + 0.025, 0.085, 0.035), GOLD, body.round_shade(0.085, 0.6))
    cap = float(rng.uniform(0.10, 0.14))
    high = 1.0 - (tall + 0.05)
    body.paint(body.box(0, tall + 0.05 + high / 2, cap, high / 2, 0.02), _trim(body, base), body.round_shade(cap, 0.6))


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
    trim = _trim(body, base)
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


MAKERS: dict[str, tuple[Callable[[Body, Array], None], float, tuple[float, float]]] = {
    # painter, width over height, height as a share of the picture
    "bottle": (bottle, 0.42, (0.48, 0.66)),
    "mug": (mug, 1.05, (0.26, 0.36)),
    "shoe": (shoe, 1.78, (0.22, 0.30)),
    "perfume": (perfume, 0.70, (0.36, 0.50)),
    "handbag": (handbag, 1.08, (0.36, 0.50)),
    "lamp": (lamp, 0.76, (0.44, 0.60)),
    "watch": (watch, 0.62, (0.42, 0.56)),
    "can": (can, 0.64, (0.34, 0.48)),
}


def make_product(spec: Spec, light: Light, size: int, rng: np.random.Generator, share: float | None = None) -> Array:
    """Paints the product of `spec`: RGBA planes [4, rows, columns] for a picture of `size` pixels."""
    maker, aspect, (low, high) = MAKERS[spec.product]
    height = int(size * (share if share is not None else float(rng.uniform(low, high))))
    body = Body(height, aspect, light, rng)
    jitter = rng.normal(0, 0.025, 3).astype(np.float32).reshape(3, 1, 1)
    maker(body, np.clip(as_colour(COLOURS[spec.colour]) + jitter, 0.03, 0.97))
    return body.finish()
