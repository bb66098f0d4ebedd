"""The lounge and library scenes: a wall of things, and a floor of boards."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth
from training.world.labels import COLOURS, Spec
from training.world.sky import Light

LAMPLIGHT = colour(1.0, 0.80, 0.50)
TINTS = {
    "day": colour(1.0, 1.0, 0.98),
    "sunset": colour(1.05, 0.86, 0.68),
    "night": colour(0.60, 0.48, 0.40),
    "dawn": colour(0.98, 0.92, 0.93),
}
OUTSIDE = {
    "day": ((0.50, 0.76, 0.97), (0.88, 0.96, 0.92)),
    "sunset": ((0.88, 0.50, 0.46), (1.0, 0.84, 0.52)),
    "night": ((0.04, 0.07, 0.20), (0.13, 0.17, 0.33)),
    "dawn": ((0.78, 0.74, 0.92), (1.0, 0.89, 0.81)),
}


def lounge(canvas: Canvas, spec: Spec) -> Light:
    """A living room: a painted wall with a sofa, a fireplace, a window or plants, and a rug on boards."""
    rng = canvas.rng
    tint = TINTS[spec.time]
    wall = mix(COLOURS[spec.accent], (0.96, 0.94, 0.90), 0.50) * tint
    floor_v = float(rng.uniform(0.60, 0.66))
    side = 1.0 if rng.random() < 0.5 else -1.0
    canvas.gradient([(0, wall * 0.88), (floor_v, wall), (1, wall)])
    canvas.image *= texture.plaster(canvas, 0.12)
    painters = {"sofa": _sofa, "fireplace": _fireplace, "window": _window, "plants": _plants}
    painters[spec.detail](canvas, spec, tint, floor_v, side)
    if spec.detail != "window":
        _frames(canvas, tint, 0.5 - side * 0.22)
    if spec.time == "night" or rng.random() < 0.4:
        _floor_lamp(canvas, tint, 0.5 - side * 0.36, floor_v)
    canvas.over(colour(0.96, 0.95, 0.92) * tint, canvas.box(-0.1, 1.1, floor_v - 0.022, floor_v))
    _boards(canvas, tint, floor_v)
    _rug(canvas, tint, floor_v)
    canvas.image *= 0.86 + 0.22 * canvas.glow(0.5 + 0.4 * side, 0.3, 0.7)
    return Light(side, np.asarray(tint * 0.55 + 0.45, np.float32), 0.5, 0.05)


def library(canvas: Canvas, spec: Spec) -> Light:
    """Shelves full of books, with a ladder, an arched window, a desk lamp or nothing before them."""
    rng = canvas.rng
    tint = TINTS[spec.time] * (0.9 if spec.time != "night" else 1.0)
    timber = mix((0.36, 0.20, 0.11), (0.50, 0.32, 0.18), float(rng.random())) * tint
    floor_v = float(rng.uniform(0.66, 0.72))
    side = 1.0 if rng.random() < 0.5 else -1.0
    canvas.gradient([(0, timber * 0.55), (1, timber * 0.7)])
    rows = int(rng.integers(4, 6))
    for row in range(rows):
        foot = floor_v * (row + 1) / rows - 0.012
        _books(canvas, tint, foot, floor_v / rows * 0.80)
        canvas.over(timber * texture.bark(canvas, 12, 90), canvas.box(-0.1, 1.1, foot, foot + 0.016))
    for u in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.over(timber * texture.bark(canvas, 90, 10), canvas.box(u - 0.014, u + 0.014, 0, floor_v))
    if spec.detail == "ladder":
        _ladder(canvas, tint, 0.5 + side * 0.22, floor_v)
    if spec.detail == "arched window":
        _arch(canvas, spec, timber, floor_v)
    _boards(canvas, tint * 0.9, floor_v)
    if spec.detail == "desk lamp":
        _green_lamp(canvas, 0.5 + side * 0.30, floor_v + 0.10)
    if spec.time == "night" or spec.detail == "desk lamp":
        canvas.add(LAMPLIGHT, 0.30 * canvas.glow(0.5 + side * 0.30, floor_v - 0.06, 0.34))
    canvas.image *= 0.80 + 0.28 * canvas.glow(0.5 + 0.3 * side, 0.4, 0.6)
    return Light(side, np.asarray(mix((1, 1, 1), LAMPLIGHT, 0.25) * (tint * 0.4 + 0.6), np.float32), 0.5, 0.08)


def _boards(canvas: Canvas, tint: Array, floor_v: float) -> None:
    """A floor of boards that run away from the viewer."""
    g = texture.ground(canvas, floor_v - 0.18)
    planks = texture.wood(canvas, g.z * 2.2, g.x * 4)
    timber = mix((0.52, 0.34, 0.20), (0.70, 0.52, 0.34), float(canvas.rng.random())) * (0.15 + 0.85 * tint)
    canvas.over(timber * planks, canvas.edge(floor_v - canvas.v))
    canvas.image *= 1 - 0.30 * np.exp(-(((canvas.v - floor_v) / 0.018) ** 2))


def _rug(canvas: Canvas, tint: Array, floor_v: float) -> None:
    """A woven rug with a border, in perspective."""
    rng = canvas.rng
    hue = mix(list(COLOURS.values())[int(rng.integers(len(COLOURS)))], (0.85, 0.80, 0.72), 0.45) * tint
    depth = np.clip((canvas.v - floor_v) / (1 - floor_v), 0, 1)
    wide = 0.26 + 0.26 * depth
    across = np.abs(canvas.u - 0.5) / wide
    inside = smooth(1 - across, 0, 0.02) * smooth(depth, 0.28, 0.30)
    thread = texture.weave(canvas.u + 0 * canvas.v, canvas.v + 0 * canvas.u, 64)
    stripes = 0.85 + 0.3 * (np.sin(1 / (depth + 0.3) * 26) > 0.3)
    canvas.over(hue * thread * stripes, inside)
    canvas.over(hue * 0.55 * thread, inside * smooth(across, 0.88, 0.90) * smooth(0.96 - across, 0, 0.01))


def _sofa(canvas: Canvas, spec: Spec, tint: Array, floor_v: float, side: float) -> None:
    """A sofa with cushions against the wall."""
    rng = canvas.rng
    cloth = mix(list(COLOURS.values())[int(rng.integers(len(COLOURS)))], (0.80, 0.76, 0.70), 0.5) * tint
    thread = texture.weave(canvas.u + 0 * canvas.v, canvas.v + 0 * canvas.u, 90)
    u, foot = 0.5 + 0.10 * side, floor_v + 0.02
    body = canvas.box(u - 0.34, u + 0.34, foot - 0.13, foot)
    canvas.over(cloth * 0.92 * thread, canvas.box(u - 0.33, u + 0.33, foot - 0.27, foot - 0.10, 6.0))
    canvas.over(cloth * 0.78 * thread, body)
    for n in range(3):
        left = u - 0.30 + 0.20 * n
        shade = 1.04 - 0.5 * np.exp(-(((canvas.u - left) / 0.012) ** 2))
        canvas.over(cloth * thread * shade, canvas.box(left, left + 0.20, foot - 0.15, foot - 0.07, 5.0))
    for end in (-0.36, 0.32):
        canvas.over(cloth * 0.86 * thread, canvas.box(u + end, u + end + 0.05, foot - 0.20, foot, 6.0))
    for n, hue in enumerate(("orange", "teal")):
        paint = mix(COLOURS[hue], (0.9, 0.88, 0.82), 0.35) * tint
        canvas.over(paint * thread, canvas.disc(u - 0.2 + 0.38 * n, foot - 0.19, 0.065, 0.055, 3.0))


def _fireplace(canvas: Canvas, spec: Spec, tint: Array, floor_v: float, side: float) -> None:
    """A chimney of bricks with a mantel and a fire."""
    u, zeros = 0.5 + 0.16 * side, np.zeros((canvas.size, canvas.size), np.float32)
    tones, mortar = texture.brick(canvas, canvas.u * 15 + zeros, canvas.v * 32 + zeros)
    bricks = colour(0.58, 0.28, 0.20) * tint * tones
    breast = canvas.box(u - 0.24, u + 0.24, 0, floor_v)
    canvas.over(bricks, breast)
    canvas.over(colour(0.75, 0.70, 0.64) * tint, breast * mortar)
    canvas.over(colour(0.04, 0.03, 0.03), canvas.box(u - 0.13, u + 0.13, floor_v - 0.22, floor_v))
    for _ in range(9):
        x, tall = u + float(canvas.rng.uniform(-0.08, 0.08)), float(canvas.rng.uniform(0.05, 0.12))
        rise = (floor_v - 0.02 - canvas.v) / tall
        flame = canvas.edge(np.abs(canvas.u - x) - 0.022 * (1 - rise) * np.sqrt(np.clip(rise + 0.1, 0, 1)), 3.0)
        canvas.over(
            mix((1.0, 0.45, 0.08), (1.0, 0.90, 0.45), float(canvas.rng.random())),
            0.9 * flame * ((rise > 0) & (rise < 1)),
        )
    canvas.add((1.0, 0.55, 0.2), 0.35 * canvas.glow(u, floor_v - 0.08, 0.20))
    canvas.over(
        colour(0.40, 0.26, 0.16) * tint * texture.bark(canvas, 12, 120),
        canvas.box(u - 0.28, u + 0.28, floor_v - 0.31, floor_v - 0.275),
    )


def _window(canvas: Canvas, spec: Spec, tint: Array, floor_v: float, side: float) -> None:
    """A tall window with curtains."""
    u, w, v0, v1 = 0.5 + 0.14 * side, 0.20, 0.07, floor_v - 0.10
    top, low = OUTSIDE[spec.time]
    t = np.clip((canvas.v - v0) / (v1 - v0), 0, 1)
    frame = colour(0.97, 0.96, 0.93) * (0.3 + 0.7 * tint)
    canvas.over(frame, canvas.box(u - w - 0.02, u + w + 0.02, v0 - 0.02, v1 + 0.03))
    canvas.over(as_colour(top) * (1 - t) + as_colour(low) * t, canvas.box(u - w, u + w, v0, v1))
    trees = v1 - 0.10 - 0.08 * canvas.line(8, 3)
    green = colour(0.20, 0.38, 0.20) * (0.1 + 0.9 * TINTS[spec.time])
    canvas.over(green * texture.foliage(canvas, 40), canvas.below(trees) * canvas.box(u - w, u + w, v0, v1))
    for bar in (canvas.box(u - 0.007, u + 0.007, v0, v1), canvas.box(u - w, u + w, v0 + 0.14, v0 + 0.153)):
        canvas.over(frame, bar)
    cloth = mix(COLOURS[spec.accent], (0.95, 0.93, 0.88), 0.75) * tint
    folds = 0.86 + 0.16 * np.sin(canvas.u * 150 + 3 * canvas.noise(3, 4))
    for end in (-1.0, 1.0):
        edge = u + end * (w + 0.03)
        canvas.over(cloth * folds, canvas.box(edge - 0.06, edge + 0.06, 0.03, floor_v - 0.03, 2.0))


def _plants(canvas: Canvas, spec: Spec, tint: Array, floor_v: float, side: float) -> None:
    """Large leaves in pots on the floor."""
    rng = canvas.rng
    veins = texture.foliage(canvas, 60)
    for n in range(3):
        u = 0.5 + side * (0.20 + 0.13 * n) * (1 if n < 2 else -1.4)
        tall = float(rng.uniform(0.26, 0.40))
        for _ in range(15):
            angle, reach = float(rng.uniform(-1.2, 1.2)), float(rng.uniform(0.45, 1.0)) * tall
            leaf = mix((0.12, 0.34, 0.16), (0.34, 0.56, 0.24), float(rng.random())) * tint
            cu, cv = u + 0.5 * reach * np.sin(angle), floor_v - 0.10 - reach * np.cos(angle) * 0.8
            canvas.over(leaf * veins, canvas.disc(cu, cv, 0.024, 0.058, 1.5))
        pot = mix((0.72, 0.40, 0.26), (0.92, 0.90, 0.86), float(rng.random())) * tint
        across = 1 + 0.3 * np.clip((canvas.u - u) / 0.06, -1, 1) * side
        canvas.over(
            pot * across * texture.plaster(canvas, 0.15),
            canvas.box(u - 0.06, u + 0.06, floor_v - 0.11, floor_v + 0.02, 2.0),
        )


def _frames(canvas: Canvas, tint: Array, u: float) -> None:
    """Pictures on the wall."""
    rng = canvas.rng
    for n in range(int(rng.integers(1, 4))):
        cu, cv = u + 0.15 * (n - 1), 0.16 + 0.06 * float(rng.random())
        w, h = float(rng.uniform(0.045, 0.07)), float(rng.uniform(0.05, 0.08))
        canvas.over(
            colour(0.20, 0.15, 0.11) * tint, canvas.box(cu - w - 0.01, cu + w + 0.01, cv - h - 0.01, cv + h + 0.01)
        )
        one, other = (list(COLOURS.values())[int(rng.integers(len(COLOURS)))] for _ in range(2))
        amount = smooth(canvas.clouds(6, 6, 2), 0.4, 0.6)
        canvas.over(
            (as_colour(one) * amount + mix(other, (1, 1, 1), 0.5) * (1 - amount)) * tint,
            canvas.box(cu - w, cu + w, cv - h, cv + h),
        )


def _floor_lamp(canvas: Canvas, tint: Array, u: float, floor_v: float) -> None:
    canvas.over(colour(0.14, 0.13, 0.13), canvas.box(u - 0.005, u + 0.005, 0.24, floor_v))
    rise = (0.26 - canvas.v) / 0.12
    shade = canvas.edge(np.abs(canvas.u - u) - (0.075 - 0.03 * rise)) * ((rise > 0) & (rise < 1))
    canvas.over(colour(0.99, 0.88, 0.64), shade)
    canvas.add(LAMPLIGHT, 0.42 * canvas.glow(u, 0.24, 0.24))


def _books(canvas: Canvas, tint: Array, foot: float, tall: float) -> None:
    """A row of spines of many colours, heights and widths, some leaning."""
    rng = canvas.rng
    u = -0.01
    while u < 1.0:
        wide, high = float(rng.uniform(0.010, 0.026)), tall * float(rng.uniform(0.68, 1.0))
        hue = mix(
            list(COLOURS.values())[int(rng.integers(len(COLOURS)))], (0.42, 0.30, 0.22), float(rng.uniform(0.25, 0.7))
        )
        lean = float(rng.normal(0, 0.04)) if rng.random() < 0.2 else 0.0
        middle = u + wide / 2 + lean * (foot - canvas.v)
        across = (canvas.u - middle) / wide
        spine = canvas.edge(np.abs(canvas.u - middle) - wide / 2) * canvas.box(-1, 2, foot - high, foot)
        canvas.over(hue * tint * (1.05 - 0.5 * np.abs(across)), spine)
        band = foot - high * float(rng.uniform(0.70, 0.85))
        if rng.random() < 0.6:
            canvas.over(colour(0.85, 0.72, 0.40) * tint, spine * canvas.box(-1, 2, band, band + 0.008))
        u += wide + 0.001 + (float(rng.uniform(0.01, 0.04)) if rng.random() < 0.06 else 0)


def _ladder(canvas: Canvas, tint: Array, u: float, floor_v: float) -> None:
    """A ladder that leans against the shelves."""
    timber = colour(0.62, 0.42, 0.24) * tint
    middle = u + 0.10 * (floor_v - canvas.v)
    for rail in (-0.05, 0.05):
        canvas.over(timber, canvas.edge(np.abs(canvas.u - middle - rail) - 0.007) * (canvas.v < floor_v + 0.03))
    rung = smooth(np.cos(canvas.v * 2 * np.pi * 17), 0.86, 0.93)
    canvas.over(timber * 0.85, rung * canvas.edge(np.abs(canvas.u - middle) - 0.05) * (canvas.v < floor_v))


def _arch(canvas: Canvas, spec: Spec, timber: Array, floor_v: float) -> None:
    """A window with a round head among the shelves."""
    w, head, sill = 0.14, 0.20, floor_v - 0.16
    shape = np.maximum(
        canvas.box(0.5 - w, 0.5 + w, head, sill), canvas.disc(0.5, head, w, w) * (canvas.v < head + 0.01)
    )
    rim = np.maximum(
        canvas.box(0.5 - w - 0.03, 0.5 + w + 0.03, head, sill + 0.03),
        canvas.disc(0.5, head, w + 0.03, w + 0.03) * (canvas.v < head + 0.01),
    )
    top, low = OUTSIDE[spec.time]
    t = np.clip((canvas.v - head + w) / (sill - head + w), 0, 1)
    canvas.over(timber * 1.3, rim)
    canvas.over(as_colour(top) * (1 - t) + as_colour(low) * t, shape)
    bars = np.maximum(canvas.box(0.494, 0.506, 0, sill), smooth(np.cos(canvas.v * 2 * np.pi * 10), 0.95, 0.98))
    canvas.over(timber, shape * bars)
    if spec.time != "night":
        canvas.add(as_colour(low), 0.20 * canvas.glow(0.5, head + 0.1, 0.28))


def _green_lamp(canvas: Canvas, u: float, foot: float) -> None:
    """A banker's lamp: brass and green glass."""
    brass = colour(0.78, 0.60, 0.28)
    canvas.over(brass * 0.8, canvas.disc(u, foot, 0.05, 0.014))
    canvas.over(brass, canvas.box(u - 0.006, u + 0.006, foot - 0.13, foot))
    canvas.over(colour(0.10, 0.46, 0.28), canvas.disc(u, foot - 0.13, 0.075, 0.034) * (canvas.v < foot - 0.122))
    canvas.add(LAMPLIGHT, 0.5 * canvas.glow(u, foot - 0.10, 0.07, 0.03))
