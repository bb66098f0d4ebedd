"""Weather over a finished outdoor scene. Streaks and flakes are soft and a few pixels wide, as a photo shows them."""

from __future__ import annotations

import numpy as np

from training.world.canvas import Array, Canvas, colour, mix, smooth
from training.world.labels import INDOORS, Spec
from training.world.palettes import LUMA

# The colour that distance and cloud fade into, by the time of day.
_VEILS = {
    "day": (0.80, 0.84, 0.87),
    "sunset": (0.86, 0.66, 0.55),
    "night": (0.20, 0.24, 0.34),
    "dawn": (0.88, 0.80, 0.82),
}


def lay(canvas: Canvas, spec: Spec) -> float:
    """Paints `spec.weather` over the scene; returns how strong a cast shadow remains, 0..1."""
    if spec.scene in INDOORS or spec.weather == "clear":
        return 1.0
    veil = colour(*_VEILS[spec.time])
    if spec.scene == "desert" and spec.weather == "mist":
        veil = mix(veil, colour(0.82, 0.62, 0.40), 0.55)
    if spec.weather == "mist":
        _mist(canvas, veil)
        return 0.55
    _overcast(canvas, veil, 0.5 if spec.weather == "cloudy" else 0.65)
    if spec.weather == "cloudy":
        return 0.5
    if spec.scene == "snow":
        _flakes(canvas)
    else:
        _rain(canvas)
    return 0.45


def _overcast(canvas: Canvas, veil: Array, amount: float) -> None:
    """Less colour, less contrast, and banks of grey cloud over the upper third."""
    grey = (canvas.image * LUMA).sum(0, keepdims=True)
    canvas.image += (grey * 0.9 + veil * 0.10 - canvas.image) * amount
    field = canvas.clouds(3, 4, 3)
    bank = smooth(field, 0.30, 0.60) * np.clip(1.0 - canvas.v / 0.42, 0, 1)
    canvas.over(veil * (0.55 + 0.45 * field), 0.85 * bank)


def _mist(canvas: Canvas, veil: Array) -> None:
    """Haze, thickest about the horizon, in slow banks; the ground before the viewer stays clear."""
    height = float(canvas.rng.uniform(0.46, 0.58))
    band = np.exp(-(((canvas.v - height) / 0.30) ** 2))
    above = 0.62 * (canvas.v < height)
    amount = np.clip(np.maximum(band, above) * (0.72 + 0.45 * (canvas.clouds(3, 4, 3) - 0.5)), 0, 0.92)
    canvas.over(veil, amount)


def _rain(canvas: Canvas) -> None:
    """Slanted soft streaks, and ground that is wet: darker, with the sky's light on it."""
    wet = smooth(canvas.v, 0.55, 0.75)
    canvas.image *= 1 - 0.22 * wet
    canvas.add((0.75, 0.82, 0.90), 0.16 * wet * smooth(canvas.noise(5, 30), 0.55, 0.9))
    slant = float(canvas.rng.uniform(-0.25, 0.25))
    across = canvas.u + slant * canvas.v
    for cells, strength in ((46, 0.20), (28, 0.26)):
        column = np.floor(across * cells)
        phase = np.abs(np.sin(column * 12.9898 + cells) * 43758.5453) % 1.0
        beat = (canvas.v * (2.2 + phase) + phase * 7) % 1.0
        inside = 1 - np.abs((across * cells) % 1.0 - 0.5) * 2
        streak = smooth(inside, 0.55, 0.95) * smooth(beat, 0.45, 0.75) * (1 - smooth(beat, 0.85, 1.0))
        canvas.add((0.85, 0.90, 0.96), strength * streak * (phase > 0.35))


def _flakes(canvas: Canvas) -> None:
    """Falling snow: soft round flakes of two sizes."""
    rng, size = canvas.rng, canvas.size
    for count, radius, strength in ((110, 0.0055, 0.75), (32, 0.011, 0.65)):
        reach = int(radius * size * 3) + 2
        for u, v in rng.random((count, 2)):
            r0, r1 = max(int(v * size) - reach, 0), min(int(v * size) + reach, size)
            c0, c1 = max(int(u * size) - reach, 0), min(int(u * size) + reach, size)
            d2 = (canvas.v[r0:r1] - v) ** 2 + (canvas.u[:, c0:c1] - u) ** 2
            spot = strength * np.exp(-d2 / radius**2)
            part = canvas.image[:, r0:r1, c0:c1]
            part += (1.0 - part) * spot
