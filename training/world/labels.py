"""The labels of a picture of the procedural world, and their random draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCENES = (
    "beach", "city", "space", "forest", "studio", "desert", "mountain", "kitchen", "snow", "market", "garden",
    "harbour", "lounge", "library",
)  # fmt: skip
TIMES = ("day", "sunset", "night", "dawn")
WEATHERS = ("clear", "cloudy", "mist", "rain")
PALETTES = ("natural", "golden", "teal", "rose", "violet", "mono")
PRODUCTS = (
    "bottle", "mug", "shoe", "perfume", "handbag", "lamp", "watch", "can", "headphones", "backpack", "jar", "teapot",
)  # fmt: skip
UNSEEN_PRODUCTS = ("teapot", "backpack")
"""Kinds left out of the segmenter's training, to measure it on unseen products."""

INDOORS = ("studio", "space", "kitchen", "lounge", "library")
"""Scenes without weather; studio and space do not show the time of day either."""

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.80, 0.13, 0.14),
    "orange": (0.93, 0.48, 0.12),
    "yellow": (0.95, 0.78, 0.18),
    "green": (0.16, 0.55, 0.28),
    "teal": (0.08, 0.55, 0.56),
    "blue": (0.14, 0.34, 0.78),
    "purple": (0.46, 0.22, 0.68),
    "pink": (0.92, 0.45, 0.62),
    "white": (0.93, 0.92, 0.90),
    "black": (0.10, 0.10, 0.12),
    "brown": (0.47, 0.28, 0.15),
    "grey": (0.55, 0.56, 0.58),
}

ACCENTS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "grey")
"""Accent colours: of a studio backdrop, a nebula, a kitchen wall, neon in a city."""

DETAILS: dict[str, tuple[str, ...]] = {
    "beach": ("palms", "rocks", "sailboat", "waves"),
    "city": ("skyline", "street", "neon", "river"),
    "space": ("planet", "ringed planet", "moon", "nebula"),
    "forest": ("pines", "birches", "path", "sunbeams"),
    "studio": ("plain", "bokeh", "podium", "spotlight"),
    "desert": ("dunes", "cactus", "mesas", "rocks"),
    "mountain": ("lake", "peaks", "pines", "meadow"),
    "kitchen": ("window", "shelves", "tiles", "plants"),
    "snow": ("firs", "cabin", "hills", "snowman"),
    "market": ("lanterns", "stalls", "awnings", "string lights"),
    "garden": ("roses", "hedges", "fountain", "pergola"),
    "harbour": ("boats", "lighthouse", "pier", "houses"),
    "lounge": ("sofa", "fireplace", "window", "plants"),
    "library": ("books", "ladder", "arched window", "desk lamp"),
}


@dataclass(frozen=True)
class Spec:
    """Everything that a caption may name. The seed determines the rest of the picture."""

    seed: int
    scene: str
    time: str
    weather: str
    palette: str
    accent: str
    detail: str
    product: str
    colour: str


def draw_spec(seed: int) -> Spec:
    """Draws the labels of the picture of `seed`; the same seed always gives the same labels."""
    rng = np.random.default_rng((seed, 0))
    scene = SCENES[int(rng.integers(len(SCENES)))]
    return Spec(
        seed=seed,
        scene=scene,
        time=TIMES[int(rng.choice(4, p=(0.32, 0.28, 0.24, 0.16)))],
        weather="clear" if scene in INDOORS else WEATHERS[int(rng.choice(4, p=(0.4, 0.2, 0.2, 0.2)))],
        palette=PALETTES[int(rng.choice(6, p=(0.4, 0.12, 0.12, 0.12, 0.12, 0.12)))],
        accent=ACCENTS[int(rng.integers(len(ACCENTS)))],
        detail=DETAILS[scene][int(rng.integers(4))],
        product=PRODUCTS[int(rng.integers(len(PRODUCTS)))],
        colour=list(COLOURS)[int(rng.integers(len(COLOURS)))],
    )
