"""Skies by the time of day, and their light on the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.world.canvas import Array, Canvas, as_colour, colour, mix, smooth


@dataclass(frozen=True)
class Light:
    """The light of a scene, as its product needs it."""

    side: float
    """-1: the light comes from the left; +1: from the right."""
    tint: Array
    """Colour of the light on things, [3, 1, 1]."""
    shadow: float
    """How dark a cast shadow is, 0..1."""
    gloss: float = 0.0
    """How much the ground mirrors the product, 0..1."""


@dataclass(frozen=True)
class Sky:
    """A painted sky: the place of its sun or moon, and the colours that it gives the land."""

    sun_u: float
    sun_v: float
    sun: Array
    haze: Array
    tint: Array

    @property
    def light(self) -> Light:
        """The light on a product under this sky, never too dark for an advertisement."""
        lit = np.asarray(self.tint * 0.5 + 0.5, np.float32)
        return Light(side=1.0 if self.sun_u > 0.5 else -1.0, tint=lit, shadow=0.5)


PALETTES: dict[str, tuple[tuple[tuple[float, float, float], ...], ...]] = {
    # top, middle, horizon
    "day": (
        ((0.16, 0.42, 0.82), (0.45, 0.70, 0.93), (0.84, 0.93, 0.97)),
        ((0.10, 0.50, 0.80), (0.38, 0.76, 0.92), (0.90, 0.95, 0.93)),
    ),
    "sunset": (
        ((0.24, 0.16, 0.42), (0.86, 0.40, 0.36), (1.00, 0.76, 0.40)),
        ((0.42, 0.22, 0.40), (0.95, 0.50, 0.28), (1.00, 0.84, 0.50)),
        ((0.14, 0.14, 0.36), (0.66, 0.28, 0.46), (1.00, 0.62, 0.34)),
    ),
    "night": (
        ((0.01, 0.03, 0.11), (0.04, 0.09, 0.24), (0.13, 0.20, 0.38)),
        ((0.03, 0.02, 0.12), (0.09, 0.07, 0.26), (0.22, 0.18, 0.40)),
    ),
    "dawn": (
        ((0.46, 0.56, 0.82), (0.84, 0.70, 0.82), (1.00, 0.86, 0.78)),
        ((0.55, 0.55, 0.78), (0.95, 0.72, 0.74), (1.00, 0.90, 0.80)),
    ),
}
TINTS = {
    "day": colour(1.0, 0.99, 0.96),
    "sunset": colour(1.02, 0.74, 0.58),
    "night": colour(0.34, 0.42, 0.68),
    "dawn": colour(0.95, 0.84, 0.88),
}
SUNS = {
    "day": colour(1.0, 0.97, 0.85),
    "sunset": colour(1.0, 0.72, 0.34),
    "night": colour(0.86, 0.90, 1.0),
    "dawn": colour(1.0, 0.80, 0.70),
}


def paint_sky(canvas: Canvas, time: str, horizon: float, cloudy: bool = True) -> Sky:
    """Fills the canvas with a sky whose horizon lies at v = `horizon`."""
    rng = canvas.rng
    options = PALETTES[time]
    top, middle, low = options[int(rng.integers(len(options)))]
    shift = rng.normal(0, 0.018, 3).astype(np.float32).reshape(3, 1, 1)
    haze = np.clip(as_colour(low) + shift, 0, 1)
    canvas.gradient([(0.0, as_colour(top) + shift), (horizon * 0.55, as_colour(middle) + shift), (horizon, haze)])
    side = 1 if rng.random() < 0.5 else -1
    sun_u = 0.5 + side * float(rng.uniform(0.12, 0.36))
    height = {"day": (0.10, 0.30), "sunset": (0.70, 0.93), "night": (0.14, 0.45), "dawn": (0.74, 0.95)}[time]
    sun_v = horizon * float(rng.uniform(*height))
    sun = SUNS[time]
    if time == "night":
        _stars(canvas, 60, horizon)
        canvas.add(sun, 0.16 * canvas.glow(sun_u, sun_v, 0.20))
        canvas.over(sun, canvas.disc(sun_u, sun_v, 0.045, 0.045))
    else:
        wide = {"day": 0.22, "sunset": 0.38, "dawn": 0.34}[time]
        canvas.add(sun, (0.34 if time != "day" else 0.25) * canvas.glow(sun_u, sun_v, wide, wide * 0.75))
        canvas.over(mix(sun, (1, 1, 1), 0.6), canvas.disc(sun_u, sun_v, 0.05, 0.05, 4.0))
        canvas.add(sun, 0.35 * canvas.glow(sun_u, sun_v, 0.085))
    if cloudy and rng.random() < 0.75:
        _clouds(canvas, time, horizon, sun, haze)
    return Sky(sun_u, sun_v, sun, haze, TINTS[time])


def _stars(canvas: Canvas, count: int, horizon: float, bright: float = 0.75) -> None:
    """Few, soft and round stars: a star smaller than a latent cell would be noise to the autoencoder."""
    rng, size = canvas.rng, canvas.size
    radius = max(1.0, size / 200)
    reach = int(3 * radius)
    for _ in range(count):
        row, column = int(rng.random() * horizon * size), int(rng.random() * size)
        r0, r1, c0, c1 = (
            max(row - reach, 0),
            min(row + reach + 1, size),
            max(column - reach, 0),
            min(column + reach + 1, size),
        )
        rows, columns = np.arange(r0, r1)[:, None] - row, np.arange(c0, c1)[None, :] - column
        spot = np.exp(-(rows**2 + columns**2) / (radius**2 * float(rng.uniform(0.5, 1.2))))
        canvas.image[:, r0:r1, c0:c1] += (bright * float(rng.uniform(0.3, 1.0)) * spot).astype(np.float32)


def paint_stars(canvas: Canvas, count: int, horizon: float) -> None:
    """Stars for scenes that paint their own sky."""
    _stars(canvas, count, horizon, 0.9)


def _clouds(canvas: Canvas, time: str, horizon: float, sun: Array, haze: Array) -> None:
    """Banks of cloud, lit from the sun's side and fading into the horizon."""
    rng = canvas.rng
    field = canvas.clouds(int(rng.integers(2, 4)), int(rng.integers(5, 8)), 4)
    cover = float(rng.uniform(0.46, 0.60))
    alpha = (
        smooth(field, cover, cover + 0.22)
        * np.clip(1.15 - canvas.v / horizon, 0, 1)
        * (0.9 if time != "night" else 0.35)
    )
    lit = {"day": (1, 1, 1), "sunset": (1.0, 0.66, 0.50), "night": (0.26, 0.30, 0.46), "dawn": (1.0, 0.88, 0.88)}[time]
    shade = smooth(field, cover, cover + 0.5)
    dark = mix(lit, haze * 0.75, 0.5)
    canvas.over(as_colour(lit) * (1 - shade) + dark * shade, alpha)
