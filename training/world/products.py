"""The table of products: from a label to the function that paints it, its proportions and its usual size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.world.body import Body
from training.world.canvas import Array, as_colour
from training.world.labels import COLOURS, Spec
from training.world.products_bottles import bottle, can, perfume
from training.world.products_table import jar, lamp, mug, teapot
from training.world.products_worn import backpack, handbag, headphones, shoe, watch
from training.world.sky import Light
from training.world.texture import speckle, weave

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
    "headphones": (headphones, 1.00, (0.36, 0.48)),
    "backpack": (backpack, 0.92, (0.44, 0.60)),
    "jar": (jar, 0.84, (0.28, 0.42)),
    "teapot": (teapot, 1.50, (0.28, 0.38)),
}

FINISHES = (0.35, 1.0, 1.0, 1.55)
"""How strongly highlights show on a matte, a satin and a polished product."""


def _cloth(body: Body) -> Array:
    return weave(body.x + 0 * body.y, body.y + 0 * body.x, 70)


def _leather(body: Body) -> Array:
    return speckle(body.rng, body.alpha.shape, 0.14)


MATERIALS: dict[str, Callable[[Body], Array]] = {
    "backpack": _cloth,
    "lamp": _cloth,
    "shoe": _leather,
    "handbag": _leather,
}
"""What some products are made of: a factor [rows, columns] of their colours."""


def make_product(spec: Spec, light: Light, size: int, rng: np.random.Generator, share: float | None = None) -> Array:
    """Paints the product of `spec`: RGBA planes [4, rows, columns] for a picture of `size` pixels."""
    maker, aspect, (low, high) = MAKERS[spec.product]
    height = int(size * (share if share is not None else float(rng.uniform(low, high))))
    body = Body(height, aspect, light, rng)
    body.shine = FINISHES[int(rng.integers(len(FINISHES)))]
    body.metallic = body.shine > 1 and rng.random() < 0.5
    jitter = rng.normal(0, 0.025, 3).astype(np.float32).reshape(3, 1, 1)
    maker(body, np.clip(as_colour(COLOURS[spec.colour]) + jitter, 0.03, 0.97))
    if spec.product in MATERIALS:
        body.rgb *= MATERIALS[spec.product](body)
    return body.finish()
