"""Things that stand about in scenes: palms, conifers, cacti, rocks."""

from __future__ import annotations

import numpy as np

from training.world import texture
from training.world.canvas import Array, Canvas


def palm(canvas: Canvas, u: float, base: float, height: float, lean: float, paint: Array) -> None:
    """A leaning trunk and a crown of drooping fronds."""
    rng = canvas.rng
    rise = np.clip((base - canvas.v) / height, 0, 1)
    centre = u + lean * 0.14 * rise**1.8
    trunk = canvas.edge(np.abs(canvas.u - centre) - (0.016 - 0.008 * rise))
    canvas.over(paint * 1.25 * texture.bark(canvas, 60, 40), trunk * ((canvas.v < base) & (canvas.v > base - height)))
    top_u, top_v = u + lean * 0.14, base - height
    for angle in np.linspace(-1.15, 1.15, 9) + rng.uniform(-0.08, 0.08, 9):
        reach = float(rng.uniform(0.17, 0.24)) * float(np.cos(angle * 0.35))
        direction = 1.0 if angle > 0 else -1.0
        spread = reach * max(abs(float(np.sin(angle))), 0.22)
        along = (canvas.u - top_u) * direction / spread
        lift = float(np.cos(angle)) * 0.10
        middle = top_v - lift * np.sin(np.clip(along, 0, 1) * 2.2) + 0.13 * np.clip(along, 0, 1) ** 2.2
        width = 0.020 * np.maximum(np.sin(np.pi * np.clip(along, 0.02, 1)), 0) ** 0.6
        canvas.over(paint, canvas.edge(np.abs(canvas.v - middle) - width) * ((along > 0) & (along < 1)))


def conifers(canvas: Canvas, base: float, height: float, count: int, paint: Array, gap: float = 0.0) -> None:
    """A row of fir trees as one silhouette; `gap` keeps the middle of the picture clear."""
    rng = canvas.rng
    top = np.full((1, canvas.size), base, np.float32)
    for n in range(count):
        u = (n + float(rng.uniform(0.1, 0.9))) / count
        if abs(u - 0.5) < gap:
            continue
        tall = height * float(rng.uniform(0.55, 1.0))
        wide = tall * float(rng.uniform(0.20, 0.28))
        top = np.minimum(top, base - tall * (1 - np.abs(canvas.u - u) / wide))
    # Boughs: the slope steps in and out on its way down.
    steps = 0.006 * np.sign(np.sin(canvas.v * (150 / max(height / 0.15, 0.8))))
    canvas.over(
        paint * texture.foliage(canvas, 44),
        canvas.edge(top - canvas.v + steps * np.minimum((base - top) * 12, 1)) * (canvas.v < base + 0.004),
    )


def cactus(canvas: Canvas, u: float, base: float, height: float, paint: Array, sun_u: float) -> None:
    """A saguaro of three capsules, ribbed by shading."""
    width = height * 0.11
    side = 1 if canvas.rng.random() < 0.5 else -1

    def upright(cu: float, foot: float, head: float, radius: float) -> None:
        v = np.clip(canvas.v, head + radius, foot)
        d = np.sqrt((canvas.u - cu) ** 2 + (canvas.v - v) ** 2) - radius
        across = np.clip((canvas.u - cu) / radius, -1, 1) * np.sign(sun_u - 0.5)
        canvas.over(paint * (1.0 + 0.55 * across), canvas.edge(d) * (canvas.v < base))

    for direction, foot, head in ((side, 0.45, 0.78), (-side, 0.32, 0.60)):
        cu = u + direction * width * 2.0
        elbow = base - height * foot
        upright(cu, elbow, base - height * head, width * 0.55)
        arm = canvas.box(min(u, cu), max(u, cu), elbow - width * 0.5, elbow + width * 0.5)
        canvas.over(paint, arm)
    upright(u, base + 0.1, base - height, width)


def rocks(canvas: Canvas, level: float, paint: Array, sun_u: float) -> None:
    """A few boulders at both sides, lit from the sun's side."""
    rng, rough = canvas.rng, texture.rock(canvas, 30, 24)
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 4))):
            u, v = 0.5 + side * float(rng.uniform(0.26, 0.48)), level + float(rng.uniform(-0.06, 0.10))
            radius = float(rng.uniform(0.05, 0.12))
            lump = 0.016 * (canvas.line(9, 1) - 0.5)
            shape = canvas.disc(u, v, radius, radius * 0.62, 1.5) * (canvas.v < v + radius * 0.35)
            across = (canvas.u - u) / radius * np.sign(sun_u - 0.5) - (canvas.v - v) / radius
            canvas.over(paint * rough * np.clip(0.85 + 0.42 * across + lump * 6, 0.3, 1.5), shape)
