"""Renders pictures: a scene, and a product in it with contact shadow, cast shadow and reflection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.world.body import Body
from training.world.canvas import Array, Canvas, colour, mix
from training.world.captions import background_prompt, full_caption
from training.world.labels import COLOURS, Spec, draw_spec
from training.world.palettes import grade, tint
from training.world.products import MAKERS, make_product
from training.world.scenes import PAINTERS
from training.world.sky import Light
from training.world.weather import lay

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A rendered sample. Pictures are uint8 [H, W, C]; the mask is uint8 [H, W], 255 where the *product* is."""

    spec: Spec
    image: Bytes
    product_mask: Bytes
    product: Bytes
    """The product alone, RGBA, in its place."""
    caption: str
    background: str


def _place(canvas: Canvas, light: Light, product: Array, foot_u: float, foot_v: float) -> Array:
    """Composites `product` with its shadows, cropped at the borders; returns its alpha on the canvas."""
    size = canvas.size
    rows, columns = product.shape[1:]
    height = rows / (1 + 2 * Body.MARGIN)
    top = round(foot_v * size - height * (1 + Body.MARGIN))
    left = round(foot_u * size - columns / 2)
    wide = columns / size / 2
    side = light.side
    # Shadows first: a dark contact line, then a soft pool that leans away from the light.
    contact = canvas.glow(foot_u, foot_v - 0.004, wide * 0.80, 0.016)
    pool = canvas.glow(foot_u - side * wide * 0.45, foot_v + 0.012, wide * 1.25, 0.040)
    canvas.image *= 1 - np.clip(light.shadow * (0.75 * contact + 0.60 * pool), 0, 0.85)
    alpha = np.zeros((size, size), np.float32)
    r0, r1, c0, c1 = max(top, 0), min(top + rows, size), max(left, 0), min(left + columns, size)
    part = product[:, r0 - top : r1 - top, c0 - left : c1 - left]
    if light.gloss > 0:
        foot = round(foot_v * size) - 1
        count = min(size - foot, int(height * 0.5))
        mirrored = product[:, int(height * (1 + Body.MARGIN)) - count : int(height * (1 + Body.MARGIN))][
            :, ::-1, c0 - left : c1 - left
        ]
        fade = light.gloss * np.linspace(1, 0, count, dtype=np.float32)[:, None]
        target = canvas.image[:, foot : foot + count, c0:c1]
        target += (mirrored[:3] - target) * (mirrored[3] * fade)
    target = canvas.image[:, r0:r1, c0:c1]
    target += (part[:3] - target) * part[3]
    alpha[r0:r1, c0:c1] = part[3]
    return alpha


def _stand(spec: Spec, light: Light, size: int, rng: np.random.Generator) -> tuple[Array, float, float]:
    """The product and the position of its foot; half of the products stand anywhere on the ground."""
    share = float(rng.uniform(*MAKERS[spec.product][2]))
    if spec.scene == "studio" and spec.detail == "podium":
        return make_product(spec, light, size, rng, share), 0.5, 0.885
    if rng.random() < 0.5:
        foot_u, foot_v = 0.5 + float(np.clip(rng.normal(0, 0.07), -0.16, 0.16)), float(rng.uniform(0.84, 0.93))
    else:
        share *= float(rng.uniform(0.6, 1.1))
        foot_u, foot_v = float(rng.uniform(0.25, 0.75)), float(rng.uniform(0.74, 0.95))
    return make_product(spec, light, size, rng, share), foot_u, foot_v


def _bytes(planes: Array) -> Bytes:
    return (np.clip(planes, 0, 1) * 255 + 0.5).astype(np.uint8)


Look = Callable[[Canvas, np.random.Generator], None]
"""Painted over a finished background, before the product is placed."""


def _background(seed: int, size: int, spec: Spec, look: Look | None) -> tuple[Canvas, Light]:
    """The scene with its weather and palette, and its light on a product."""
    canvas = Canvas(size, np.random.default_rng((seed, 1)))
    light = PAINTERS[spec.scene](canvas, spec)
    shadow = lay(canvas, spec)
    canvas.image = grade(np.clip(canvas.image, 0, 1), spec.palette)
    if look is not None:
        look(canvas, np.random.default_rng((seed, 5)))
        canvas.image = np.clip(canvas.image, 0, 1)
    return canvas, replace(light, tint=light.tint * tint(spec.palette), shadow=light.shadow * shadow)


def compose(seed: int, size: int, spec: Spec, look: Look | None = None) -> Picture:
    """Renders a picture of `spec`, with a look laid over its background. The same arguments give the same bytes."""
    canvas, light = _background(seed, size, spec, look)
    rng = np.random.default_rng((seed, 2))
    product, foot_u, foot_v = _stand(spec, light, size, rng)
    alpha = _place(canvas, light, product, foot_u, foot_v)
    alone = np.zeros((4, size, size), np.float32)
    alone[:3], alone[3] = np.where(alpha > 0, canvas.image, 0), alpha
    words = np.random.default_rng((seed, 3))
    return Picture(
        spec=spec,
        image=_bytes(canvas.image).transpose(1, 2, 0),
        product_mask=_bytes(alpha),
        product=_bytes(alone).transpose(1, 2, 0),
        caption=full_caption(spec, words),
        background=background_prompt(spec, words),
    )


def render(seed: int, size: int = 256, spec: Spec | None = None) -> Picture:
    """Renders the picture of `seed`. The same seed, size and spec give the same bytes."""
    return compose(seed, size, spec or draw_spec(seed))


def empty_scene(seed: int, size: int = 256, spec: Spec | None = None) -> Bytes:
    """The finished scene of `seed` without product or shadow, uint8 [size, size, 3]."""
    canvas, _ = _background(seed, size, spec or draw_spec(seed), None)
    return _bytes(canvas.image).transpose(1, 2, 0)


@dataclass(frozen=True)
class ShadowPair:
    """A picture without and with the shadow of its product, uint8 [H, W, 3], and the product's mask [H, W].

    `side` is -1 where the light comes from the left, +1 where it comes from the right.
    """

    without: Bytes
    shaded: Bytes
    product_mask: Bytes
    side: float


def shadow_pair(seed: int, size: int = 256) -> ShadowPair:
    """The picture of `seed` on a ground that mirrors nothing, without and with shadow."""
    spec = draw_spec(seed)
    canvas, light = _background(seed, size, spec, None)
    scene, light = canvas.image, replace(light, gloss=0.0)
    product, foot_u, foot_v = _stand(spec, light, size, np.random.default_rng((seed, 2)))
    pictures = []
    for lit in (replace(light, shadow=0.0), light):
        canvas.image = scene.copy()
        alpha = _place(canvas, lit, product, foot_u, foot_v)
        pictures.append(_bytes(canvas.image).transpose(1, 2, 0))
    return ShadowPair(pictures[0], pictures[1], _bytes(alpha), light.side)


@dataclass(frozen=True)
class CutoutPair:
    """The same product in two scenes, uint8 [H, W, 3], and its mask [H, W]: what a perfect cut-out would make.

    `photo` is the picture that it is cut out of, `scene` the other scene without it, `composed` that scene with it.
    """

    photo: Bytes
    product_mask: Bytes
    scene: Bytes
    composed: Bytes


def cutout_pair(seed: int, scene_seed: int, size: int = 256) -> CutoutPair:
    """The product of `seed` in its own scene and, without a shadow, in that of `scene_seed`."""
    spec = draw_spec(seed)
    canvas, light = _background(seed, size, spec, None)
    light = replace(light, gloss=0.0)
    product, foot_u, foot_v = _stand(spec, light, size, np.random.default_rng((seed, 2)))
    alpha = _place(canvas, light, product, foot_u, foot_v)
    other, _ = _background(scene_seed, size, draw_spec(scene_seed), None)
    scene = _bytes(other.image)
    _place(other, replace(light, shadow=0.0), product, foot_u, foot_v)
    photo, empty, composed = (each.transpose(1, 2, 0) for each in (_bytes(canvas.image), scene, _bytes(other.image)))
    return CutoutPair(photo, _bytes(alpha), empty, composed)


def plain_photo(seed: int, size: int = 256, spec: Spec | None = None, share: float | None = None) -> Picture:
    """A product on a plain background, as in a shop's photo; most users send such pictures."""
    spec = spec or draw_spec(seed)
    rng = np.random.default_rng((seed, 4))
    canvas = Canvas(size, rng)
    names = list(COLOURS)
    tone = mix(
        COLOURS[names[int(rng.integers(len(names)))]], (0.97, 0.97, 0.96), float(rng.choice((1.0, 0.85, 0.6, 0.2)))
    )
    fall = float(rng.uniform(0.0, 0.25))
    canvas.gradient([(0, tone * (1 - fall * 0.5)), (0.7, tone), (1, tone * (1 - fall))])
    canvas.add((1, 1, 1), 0.10 * canvas.glow(0.5, 0.4, 0.5))
    light = Light(
        1.0 if rng.random() < 0.5 else -1.0,
        colour(1, 1, 1),
        float(rng.uniform(0.1, 0.4)),
        float(rng.choice((0.0, 0.0, 0.12))),
    )
    product = make_product(spec, light, size, rng, share)
    alpha = _place(
        canvas, light, product, 0.5 + float(rng.normal(0, 0.04)) * (share is None), float(rng.uniform(0.76, 0.92))
    )
    alone = np.zeros((4, size, size), np.float32)
    alone[:3], alone[3] = np.where(alpha > 0, canvas.image, 0), alpha
    return Picture(
        spec, _bytes(canvas.image).transpose(1, 2, 0), _bytes(alpha), _bytes(alone).transpose(1, 2, 0), "", ""
    )
