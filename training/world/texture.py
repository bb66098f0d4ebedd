"""Detail at every scale: noise at any coordinates, the ground's perspective, and the patterns of materials.

Every pattern is a factor [H, W] about 1 that a painter multiplies its colour with. Octaves that are finer than a pixel
fade out, so a far ground is smooth and not noisy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.world.canvas import Array, Canvas, smooth

_TABLE = 256


def noise_at(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """Value noise in [0, 1] at coordinates in cells [H, W]; repeats every 256 cells."""
    table = rng.random((_TABLE, _TABLE), dtype=np.float32)
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    s, t = x - column, y - row
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    c0, c1, r0, r1 = column & 255, (column + 1) & 255, row & 255, (row + 1) & 255
    top = table[r0, c0] * (1 - s) + table[r0, c1] * s
    bottom = table[r1, c0] * (1 - s) + table[r1, c1] * s
    return np.asarray(top * (1 - t) + bottom * t, np.float32)


def fractal(
    rng: np.random.Generator, x: Array, y: Array, cells: Array | float, octaves: int = 4, gain: float = 0.6
) -> Array:
    """Fractal noise about 0, within ±0.5.

    Args:
        rng: draws the noise.
        x: coordinates in cells of the coarsest octave, [H, W].
        y: the same, downwards.
        cells: how many of these cells a pixel spans; an octave of more than 0.7 is left out.
        octaves: each has cells of half the size.
        gain: strength of an octave over that of the one before.
    """
    total, weight, norm = np.zeros(np.broadcast(x, y).shape, np.float32), 1.0, 0.0
    for octave in range(octaves):
        finer = 2.0**octave
        seen = np.clip((0.7 - np.asarray(cells) * finer) / 0.35, 0, 1)
        total += (weight * seen * (noise_at(rng, x * finer, y * finer) - 0.5)).astype(np.float32)
        norm += weight
        weight *= gain
    return np.asarray(total / norm * 1.6, np.float32)


@dataclass(frozen=True)
class Ground:
    """The coordinates of a flat ground seen in perspective: `x` across, `z` away, [H, W], in eye heights."""

    x: Array
    z: Array
    pixel: Array
    """How far a pixel reaches on the ground away from the viewer, in eye heights."""


def ground(canvas: Canvas, horizon: Array | float) -> Ground:
    """The ground below `horizon`; above it the coordinates are those of a line just below."""
    depth = np.clip(canvas.v - np.asarray(horizon, np.float32), 0.012, 1) + np.zeros_like(canvas.u)
    z = 0.5 / depth
    x = (canvas.u - 0.5) * z * 2
    return Ground(np.asarray(x, np.float32), np.asarray(z, np.float32), np.asarray(z * z * 2 / canvas.size, np.float32))


def _screen(canvas: Canvas, across: float, down: float) -> tuple[Array, Array, float]:
    """Coordinates over the picture in cells, and cells per pixel."""
    zeros = np.zeros((canvas.size, canvas.size), np.float32)
    return canvas.u * across + zeros, canvas.v * down + zeros, max(across, down) / canvas.size


def sand(canvas: Canvas, horizon: Array | float) -> Array:
    """Wind ripples across the view, and grain."""
    g = ground(canvas, horizon)
    bend = fractal(canvas.rng, g.x * 1.2, g.z * 1.2, g.pixel * 1.2, 2) * 2.5
    seen = np.clip((0.35 - g.pixel * 4) / 0.3, 0, 1)
    ripples = np.sin((g.z * 4 + g.x * 0.6 + bend) * 2 * np.pi) * seen
    grain = fractal(canvas.rng, g.x * 30, g.z * 30, g.pixel * 30, 2)
    return np.asarray(1 + 0.055 * ripples + 0.16 * grain, np.float32)


def grass(canvas: Canvas, horizon: Array | float) -> Array:
    """Tufts, and blades that stand upright: fine across, long downwards."""
    g = ground(canvas, horizon)
    tufts = fractal(canvas.rng, g.x * 5, g.z * 5, g.pixel * 5, 3)
    near = np.clip((canvas.v - np.asarray(horizon)) / 0.5, 0, 1)
    x, y, _ = _screen(canvas, 90, 26)
    blades = noise_at(canvas.rng, x + 0.8 * np.sin(y), y) - 0.5
    return np.asarray(1 + 0.45 * tufts + 0.38 * blades * near**0.7, np.float32)


def drifts(canvas: Canvas, horizon: Array | float) -> Array:
    """Snow: soft waves, and grains that sparkle."""
    g = ground(canvas, horizon)
    waves = fractal(canvas.rng, g.x * 1.5, g.z * 3, g.pixel * 3, 3)
    x, y, _ = _screen(canvas, 120, 120)
    sparkle = smooth(noise_at(canvas.rng, x, y), 0.93, 1.0)
    return np.asarray(1 + 0.10 * waves + 0.10 * sparkle, np.float32)


def waves(canvas: Canvas, horizon: Array | float) -> Array:
    """Water: crests across the view, finer with distance."""
    g = ground(canvas, horizon)
    broad = fractal(canvas.rng, g.x * 1.6, g.z * 7, g.pixel * 7, 4, 0.65)
    crests = smooth(0.5 - np.abs(broad), 0.40, 0.5)
    return np.asarray(1 + 0.42 * broad + 0.14 * crests, np.float32)


def rock(canvas: Canvas, across: float = 14, down: float = 10) -> Array:
    """Faces and cracks of stone."""
    x, y, cells = _screen(canvas, across, down)
    rough = fractal(canvas.rng, x, y, cells, 4, 0.65)
    cracks = smooth(0.045 - np.abs(fractal(canvas.rng, x * 0.7, y * 0.7, cells, 3)), 0, 0.045)
    return np.asarray(1 + 0.50 * rough - 0.22 * cracks, np.float32)


def foliage(canvas: Canvas, across: float = 26) -> Array:
    """Clumps of leaves with gaps between them."""
    x, y, cells = _screen(canvas, across, across)
    clumps = fractal(canvas.rng, x, y, cells, 3, 0.7)
    leaves = noise_at(canvas.rng, x * 3.1, y * 3.1) - 0.5
    return np.asarray(1 + 0.55 * clumps + 0.30 * leaves, np.float32)


def bark(canvas: Canvas, across: float = 90, down: float = 9) -> Array:
    """Long upright furrows."""
    x, y, _ = _screen(canvas, across, down)
    return np.asarray(1 + 0.5 * (noise_at(canvas.rng, x + 1.4 * np.sin(y * 0.9), y) - 0.5), np.float32)


def plaster(canvas: Canvas, strength: float = 0.10) -> Array:
    """A wall with stains and a fine tooth."""
    x, y, cells = _screen(canvas, 6, 6)
    return np.asarray(1 + strength * (fractal(canvas.rng, x, y, cells, 5, 0.75)) * 1.4, np.float32)


def wood(canvas: Canvas, x: Array, y: Array) -> Array:
    """Boards along x, each with its own tone, and a grain that runs with them; `y` counts boards."""
    board = np.floor(y).astype(np.int32)
    tones = canvas.rng.uniform(0.86, 1.08, 64).astype(np.float32)[board & 63]
    offset = canvas.rng.uniform(0, 40, 64).astype(np.float32)[board & 63]
    along = noise_at(canvas.rng, x * 2.2 + offset, y * 14) - 0.5
    rings = np.sin((y * 9 + 2.2 * noise_at(canvas.rng, x * 0.7 + offset, y * 1.3)) * 2 * np.pi)
    joint = smooth(np.abs(y - np.round(y)), 0.0, 0.045)
    return np.asarray(tones * (1 + 0.14 * along + 0.05 * rings) * (0.55 + 0.45 * joint), np.float32)


def brick(canvas: Canvas, x: Array, y: Array) -> tuple[Array, Array]:
    """Tone of the bricks of a wall, and where mortar is [H, W], at coordinates in bricks."""
    row = np.floor(y).astype(np.int32)
    shifted = x + 0.5 * (row & 1)
    tones = canvas.rng.uniform(0.72, 1.16, (64, 64)).astype(np.float32)[
        row & 63, np.floor(shifted).astype(np.int32) & 63
    ]
    rough = 0.86 + 0.28 * noise_at(canvas.rng, x * 9, y * 5)
    joint = np.minimum(np.abs(shifted - np.round(shifted)) * 2.2, np.abs(y - np.round(y)))
    return np.asarray(tones * rough, np.float32), np.asarray(smooth(0.11 - joint, 0, 0.06), np.float32)


def cobbles(canvas: Canvas, horizon: Array | float) -> Array:
    """Round stones in rows, in perspective."""
    g = ground(canvas, horizon)
    x, z = g.x * 5, g.z * 5
    row = np.floor(z).astype(np.int32)
    shifted = x + 0.5 * (row & 1)
    s, t = shifted - np.floor(shifted) - 0.5, z - np.floor(z) - 0.5
    dome = np.clip(1 - (s / 0.52) ** 2 - (t / 0.52) ** 2, 0, 1) ** 0.5
    tones = canvas.rng.uniform(0.8, 1.15, (64, 64)).astype(np.float32)[
        row & 63, np.floor(shifted).astype(np.int32) & 63
    ]
    seen = np.clip((0.6 - g.pixel * 5) / 0.4, 0, 1)
    return np.asarray(1 + seen * (tones * (0.55 + 0.55 * dome) - 1), np.float32)


def weave(x: Array, y: Array, threads: float) -> Array:
    """Cloth: threads over and under each other, at coordinates in heights of the product."""
    s, t = np.sin(x * threads * np.pi), np.sin(y * threads * np.pi)
    return np.asarray(1 + 0.10 * np.sign(s * t) * np.maximum(np.abs(s), np.abs(t)), np.float32)


def speckle(rng: np.random.Generator, shape: tuple[int, ...], strength: float) -> NDArray[np.float32]:
    """Independent grain for each pixel, of a film or of leather."""
    return np.asarray(1 + strength * (rng.random(shape, dtype=np.float32) - 0.5), np.float32)
