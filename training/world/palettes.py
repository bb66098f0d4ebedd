"""Palettes: colour grades of the whole scene; the product keeps its colours."""

from __future__ import annotations

import numpy as np

from training.world.canvas import Array, as_colour

LUMA = np.array((0.299, 0.587, 0.114), np.float32).reshape(3, 1, 1)

# Target colours of shadows, middle tones and lights, and the share of the scene's colour that stays.
_GRADES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float], float]] = {
    "golden": ((0.16, 0.07, 0.02), (0.72, 0.46, 0.18), (1.00, 0.93, 0.70), 0.30),
    "teal": ((0.00, 0.10, 0.14), (0.12, 0.50, 0.52), (0.82, 1.00, 0.94), 0.30),
    "rose": ((0.16, 0.04, 0.10), (0.82, 0.45, 0.54), (1.00, 0.90, 0.90), 0.30),
    "violet": ((0.07, 0.03, 0.18), (0.46, 0.30, 0.72), (0.95, 0.86, 1.00), 0.30),
    "mono": ((0.03, 0.03, 0.04), (0.48, 0.48, 0.49), (0.98, 0.98, 0.97), 0.04),
}


def grade(image: Array, palette: str) -> Array:
    """Planes [3, H, W] in [0, 1] under a palette: luma is mapped to three tones, mixed with the scene's own colours."""
    if palette == "natural":
        return image
    dark, middle, light, remaining = _GRADES[palette]
    luma = np.clip((image * LUMA).sum(0, keepdims=True), 0, 1)
    low, high = np.clip(luma * 2, 0, 1), np.clip(luma * 2 - 1, 0, 1)
    toned = as_colour(dark) * (1 - low) + as_colour(middle) * low * (1 - high) + as_colour(light) * high
    return np.asarray(toned * (1 - remaining) + image * remaining, np.float32)


def tint(palette: str) -> Array:
    """The slight tint [3, 1, 1] that a palette gives the light on the product."""
    if palette in ("natural", "mono"):
        return np.ones((3, 1, 1), np.float32)
    middle = as_colour(_GRADES[palette][1])
    return np.asarray(1 + 0.25 * (middle / max(float(middle.mean()), 1e-3) - 1), np.float32)
