"""What several products share: metals, a second colour, the shading of a ball, bent tubes."""

from __future__ import annotations

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, as_colour

GOLD, STEEL = as_colour((0.85, 0.66, 0.34)), as_colour((0.76, 0.78, 0.81))


def trim_colour(body: Body, base: Array) -> Array:
    """A second colour in clear contrast to the first."""
    options = (GOLD, STEEL, as_colour((0.95, 0.94, 0.91)), as_colour((0.12, 0.12, 0.14)))
    pick = options[int(body.rng.integers(len(options)))]
    return pick if float(np.abs(pick - base).mean()) > 0.15 else options[2 if float(base.mean()) < 0.5 else 3]


def ball_shade(body: Body, cx: float, cy: float, rx: float, ry: float, gloss: float = 0.4) -> tuple[Array, Array]:
    """Diffuse factor and highlight of an ellipsoid around (cx, cy), lit from above and from the light's side."""
    across, up = np.clip((body.x - cx) / rx, -1, 1) * body.light.side, np.clip((body.y - cy) / ry, -1, 1)
    towards = np.sqrt(np.clip(1 - across**2 - up**2, 0, 1))
    diffuse = 0.46 + 0.30 * across + 0.20 * up + 0.34 * towards
    shine = np.exp(-(((across - 0.42) / 0.20) ** 2) - (((up - 0.42) / 0.26) ** 2))
    return np.asarray(diffuse, np.float32), np.asarray(gloss * body.shine * shine, np.float32)


def tube(body: Body, points: tuple[tuple[float, float], ...], radii: tuple[float, float], steps: int = 22) -> Array:
    """Signed distance to a tube along the Bezier curve of three `points`; its radius runs from one value to another."""
    (ax, ay), (bx, by), (cx, cy) = points
    distance = np.full((body.y.shape[0], body.x.shape[1]), 9.0, np.float32)
    for t in np.linspace(0, 1, steps):
        px = float((1 - t) ** 2 * ax + 2 * t * (1 - t) * bx + t * t * cx)
        py = float((1 - t) ** 2 * ay + 2 * t * (1 - t) * by + t * t * cy)
        radius = radii[0] + (radii[1] - radii[0]) * float(t)
        np.minimum(distance, np.sqrt((body.x - px) ** 2 + (body.y - py) ** 2) - radius, out=distance)
    return distance
