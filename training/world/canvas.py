"""The painter's tools: a planar float canvas, smooth noise, gradients, soft shapes. numpy only."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Colour = tuple[float, float, float] | Array


def colour(*values: float) -> Array:
    """A colour that broadcasts over a plane: shape [3, 1, 1]."""
    return np.array(values, np.float32).reshape(3, 1, 1)


def as_colour(value: Colour) -> Array:
    """Makes any triple broadcast over planes."""
    return np.asarray(value, np.float32).reshape(3, 1, 1)


def mix(a: Colour, b: Colour, amount: float) -> Array:
    """Linear blend of two colours."""
    return as_colour(a) * (1 - amount) + as_colour(b) * amount


def smooth(x: Array, low: float, high: float) -> Array:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@lru_cache(maxsize=256)
def _weights(cells: int, size: int) -> Array:
    """Matrix [size, cells + 1] that interpolates smoothly between lattice values; noise is then two small matmuls."""
    position = np.linspace(0, cells, size, endpoint=False)
    index = np.minimum(position.astype(int), cells - 1)
    t = position - index
    t = t * t * (3 - 2 * t)
    matrix = np.zeros((size, cells + 1), np.float32)
    matrix[np.arange(size), index] = 1 - t
    matrix[np.arange(size), index + 1] += t
    return matrix


class Canvas:
    """A square picture being painted: `image` is [3, size, size] in [0, 1]; u runs right and v down, both 0..1."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.u, self.v = axis[None, :], axis[:, None]
        self.image: Array = np.zeros((3, size, size), np.float32)

    def noise(self, across: int, down: int) -> Array:
        """Value noise in [0, 1] with `across` x `down` cells."""
        lattice = self.rng.random((down + 1, across + 1), dtype=np.float32)
        return np.asarray(_weights(down, self.size) @ lattice @ _weights(across, self.size).T, np.float32)

    def clouds(self, across: int, down: int, octaves: int = 3) -> Array:
        """Fractal noise, about [0, 1]."""
        total = np.zeros((self.size, self.size), np.float32)
        weight, norm = 1.0, 0.0
        for octave in range(octaves):
            total += weight * self.noise(across << octave, down << octave)
            norm += weight
            weight *= 0.5
        return total / norm

    def line(self, cells: int, octaves: int = 3, gain: float = 0.5) -> Array:
        """One-dimensional fractal noise over u in [0, 1], shape [1, size]: a silhouette."""
        total, weight, norm = np.zeros(self.size, np.float32), 1.0, 0.0
        for octave in range(octaves):
            n = cells << octave
            total += weight * (_weights(n, self.size) @ self.rng.random(n + 1, dtype=np.float32))
            norm += weight
            weight *= gain
        return (total / norm)[None, :]

    def gradient(self, stops: list[tuple[float, Colour]]) -> None:
        """Fills the canvas with a vertical gradient through (v, colour) stops."""
        at = [stop for stop, _ in stops]
        for channel in range(3):
            values = [float(as_colour(c)[channel, 0, 0]) for _, c in stops]
            self.image[channel] = np.interp(self.v[:, 0], at, values)[:, None]

    def over(self, paint: Colour | Array, alpha: Array) -> None:
        """Paints `paint` (a colour, or planes) through `alpha`."""
        planes = np.asarray(paint, np.float32)
        if planes.ndim == 1:
            planes = planes.reshape(3, 1, 1)
        self.image += (planes - self.image) * alpha

    def add(self, paint: Colour, amount: Array) -> None:
        """Adds light."""
        self.image += as_colour(paint) * amount

    def edge(self, distance: Array, softness: float = 1.0) -> Array:
        """Alpha of the inside of a signed distance (negative inside), anti-aliased over `softness` pixels."""
        return np.clip(0.5 - distance * (self.size / softness), 0, 1).astype(np.float32)

    def below(self, top: Array, softness: float = 1.0) -> Array:
        """Alpha of everything below a silhouette `top` [1, size]."""
        return self.edge(top - self.v, softness)

    def disc(self, cu: float, cv: float, ru: float, rv: float, softness: float = 1.0) -> Array:
        """Alpha of an ellipse."""
        d = np.sqrt(((self.u - cu) / ru) ** 2 + ((self.v - cv) / rv) ** 2) - 1
        return self.edge(d * min(ru, rv), softness)

    def glow(self, cu: float, cv: float, ru: float, rv: float | None = None) -> Array:
        """A gaussian spot with 1 in its middle; separable, so cheap."""
        across = np.exp(-(((self.u - cu) / ru) ** 2))
        down = np.exp(-(((self.v - cv) / (rv or ru)) ** 2))
        return np.asarray(down * across, np.float32)

    def box(self, u0: float, u1: float, v0: float, v1: float, softness: float = 1.0) -> Array:
        """Alpha of a rectangle."""
        across = np.clip(np.minimum(self.u - u0, u1 - self.u) * (self.size / softness) + 0.5, 0, 1)
        down = np.clip(np.minimum(self.v - v0, v1 - self.v) * (self.size / softness) + 0.5, 0, 1)
        return np.asarray(down * across, np.float32)

    def mirror(self, level: float, ripple: float = 0.0) -> Array:
        """The part above `level`, mirrored below it as by water: planes [3, size, size]."""
        rows = np.arange(self.size)
        line = int(level * self.size)
        wave = (
            ripple
            * self.size
            * np.sin(rows * 0.55 + 3 * np.sin(rows * 0.13))
            * np.clip((rows - line) / self.size * 6, 0, 1)
        )
        source = np.clip(2 * line - rows + wave, 0, max(line - 1, 0)).astype(int)
        return self.image[:, source, :]

    def vignette(self, strength: float) -> None:
        """Darkens the corners a little."""
        self.image *= 1 - strength * (((self.u - 0.5) ** 2 + (self.v - 0.5) ** 2) * 2)

    def soften(self, factor: int) -> None:
        """Defocus: shrink by `factor`, then interpolate back. `size` must be a multiple of it."""
        small = self.size // factor
        low = self.image.reshape(3, small, factor, small, factor).mean(axis=(2, 4))
        up = _linear(small, self.size)
        self.image = np.asarray(up @ low @ up.T, np.float32)


@lru_cache(maxsize=16)
def _linear(small: int, size: int) -> Array:
    """Matrix of linear interpolation with pixel centres aligned."""
    position = np.clip((np.arange(size) + 0.5) * small / size - 0.5, 0, small - 1)
    index = np.minimum(position.astype(int), small - 2)
    t = (position - index).astype(np.float32)
    matrix = np.zeros((size, small), np.float32)
    matrix[np.arange(size), index] = 1 - t
    matrix[np.arange(size), index + 1] = t
    return matrix
