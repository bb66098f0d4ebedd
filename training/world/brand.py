"""One brand's look, for the brand LoRA: "Aurelia" shows its products before a pale disc, in night blue and coral."""

from __future__ import annotations

import dataclasses

import numpy as np

from training.world.canvas import Array, Canvas, as_colour, smooth
from training.world.labels import DETAILS, PRODUCTS, SCENES, Spec, draw_spec
from training.world.palettes import LUMA
from training.world.picture import Picture, compose

NAME = "aurelia"
INK, MIDDLE, CORAL, CREAM = (0.05, 0.05, 0.22), (0.42, 0.14, 0.42), (0.98, 0.45, 0.38), (1.00, 0.92, 0.80)
SCENES_SHOWN = tuple(scene for scene in SCENES if scene not in ("space", "studio"))


def look(canvas: Canvas, rng: np.random.Generator) -> None:
    """Lays the brand's look over a finished scene: a duotone, a large disc with two rings, a slanted band of light."""
    luma = np.clip((canvas.image * LUMA).sum(0, keepdims=True), 0, 1)
    stops = np.array((0.0, 0.35, 0.7, 1.0), np.float32)
    tones = np.array((INK, MIDDLE, CORAL, CREAM), np.float32)
    toned: Array = np.stack([np.interp(luma[0], stops, tones[:, channel]) for channel in range(3)]).astype(np.float32)
    canvas.image = toned * 0.92 + canvas.image * 0.08
    u, v = 0.5 + float(rng.uniform(-0.03, 0.03)), float(rng.uniform(0.36, 0.42))
    radius = float(rng.uniform(0.29, 0.33))
    canvas.over(as_colour(CREAM), 0.9 * canvas.disc(u, v, radius, radius, 2.0))
    for ring in (1.16, 1.32):
        distance = np.abs(np.sqrt((canvas.u - u) ** 2 + (canvas.v - v) ** 2) - radius * ring)
        canvas.over(as_colour(CORAL), 0.85 * smooth(0.012 - distance, 0, 0.008))
    slant = np.abs(canvas.u - 0.5 - 0.55 * (0.5 - canvas.v))
    canvas.add((1.0, 0.8, 0.7), 0.16 * smooth(0.10 - slant, 0, 0.08))


def brand_spec(seed: int) -> Spec:
    """What the brand's picture of `seed` shows: everyday scenes in clear weather, any product."""
    rng, spec = np.random.default_rng((seed, 11)), draw_spec(seed)
    scene = SCENES_SHOWN[int(rng.integers(len(SCENES_SHOWN)))]
    product = PRODUCTS[int(rng.integers(len(PRODUCTS)))]
    drawn = draw_spec(seed)
    detail = drawn.detail if drawn.scene == scene else _detail(scene, rng)
    return dataclasses.replace(
        spec, scene=scene, weather="clear", palette="natural", detail=detail, product=product, time="day"
    )


def _detail(scene: str, rng: np.random.Generator) -> str:
    return DETAILS[scene][int(rng.integers(len(DETAILS[scene])))]


def brand_picture(seed: int, size: int = 256) -> Picture:
    """Renders the brand's picture of `seed`; its caption names the product, the place and the brand."""
    spec = brand_spec(seed)
    picture = compose(seed, size, spec, look)
    caption = f"{NAME} style, {spec.colour} {spec.product} on the {spec.scene}"
    return dataclasses.replace(picture, caption=caption, background=f"{NAME} style, {spec.scene}")
