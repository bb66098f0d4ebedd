"""Shadows by geometry: how dark the ground around a product becomes, from its mask alone."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from backdrop.contract.arrays import Bytes, blend, strips
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.geometry import Rect, bounding_box
from backdrop.contract.masks import check_product_marked
from backdrop.contract.numbers import within
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Row = npt.NDArray[np.float32]
DIRECTION, SOFTNESS, INTENSITY, LENGTH = 0.0, 0.5, 0.5, 0.6
"""Defaults of a shadow's fields."""
# The ground is seen at an angle: what lies on it is this much shorter from top to bottom than from left to right.
_FORESHORTENING = 0.35
# Part of a product's height, from its foot up, that touches the ground or nearly does.
_FOOT = 0.06
# Weights of the line where the product touches the ground, and of the pool around it.
_LINE, _POOL = 0.75, 0.6
# The far end of a cast shadow, as a part of its darkness at the product.
_FAR = 0.35


class ShadowKind(enum.Enum):
    """Kinds of shadow."""

    CONTACT = "contact"
    """The product stands in soft light: dark where it touches the ground, and a pool around it."""
    CAST = "cast"
    """A lamp or the sun throws the product's outline on the ground, besides a contact shadow."""


_KINDS = {
    pb.SHADOW_KIND_UNSPECIFIED: ShadowKind.CONTACT,
    pb.SHADOW_KIND_CONTACT: ShadowKind.CONTACT,
    pb.SHADOW_KIND_CAST: ShadowKind.CAST,
}


@dataclasses.dataclass(frozen=True)
class Shadow:
    """What a shadow looks like."""

    kind: ShadowKind = ShadowKind.CONTACT
    direction: float = DIRECTION
    """Where it falls, in degrees on the ground: 0 = to the right, 90 = towards the viewer, 180 = to the left."""
    softness: float = SOFTNESS
    """0.0 = a sharp edge, 1.0 = the softest."""
    intensity: float = INTENSITY
    """0.0 = none, 1.0 = black at its darkest."""
    length: float = LENGTH
    """Of a cast shadow, as a multiple of the product's height."""


def read_shadow(message: pb.ShadowTask) -> Shadow:
    """The shadow that a request describes.

    Raises:
        InvalidRequestError: a value is out of range; the error names the field.
    """
    if message.kind not in _KINDS:
        raise error(Reason.UNKNOWN_VALUE, "shadow.kind is not one that this server knows.", field="shadow.kind")
    return Shadow(
        _KINDS[message.kind],
        direction=_number(message, "direction", -360.0, 360.0, DIRECTION),
        softness=_number(message, "softness", 0.0, 1.0, SOFTNESS),
        intensity=_number(message, "intensity", 0.0, 1.0, INTENSITY),
        length=_number(message, "length", 0.0, 3.0, LENGTH),
    )


def _number(message: pb.ShadowTask, name: Any, least: float, most: float, default: float) -> float:
    return within(f"shadow.{name}", getattr(message, name) if message.HasField(name) else default, least, most)


def shadowed_canvas(picture: Bytes, mask: Bytes, source: MaskSource, shadow: Shadow) -> Canvas:
    """A picture [H, W, 3] under whose product, marked by `mask` [H, W], a shadow lies.

    The product's pixels are known, and so is every pixel that the shadow does not reach. At the product's soft edge
    only the part of a pixel that is not product becomes darker.

    Raises:
        InvalidRequestError: the mask marks no product.
    """
    check_product_marked(mask, "shadow.mask")
    box = bounding_box(mask)
    assert box is not None, "the mask marks a product"
    layer = darkness(mask, box, shadow)
    scene = blend(layer, np.zeros_like(picture), picture)
    make = np.where(layer > 0, np.invert(mask), 0).astype(np.uint8)
    kept = Kept(Rect(0, 0, mask.shape[1], mask.shape[0]), unscaled=True, mask_source=source)
    return Canvas(picture, make, kept, scene)


def darkness(mask: Bytes, box: Rect, shadow: Shadow) -> Bytes:
    """How dark the shadow is [H, W]: 0 = not at all, 255 = black. `box` holds the product."""
    layer = _contact(mask, box, shadow)
    if shadow.kind is ShadowKind.CAST:
        np.maximum(layer, _cast(mask, box, shadow), out=layer)
    return layer


def _contact(mask: Bytes, box: Rect, shadow: Shadow) -> Bytes:
    """A line where the product touches the ground, and a pool that leans in the shadow's direction.

    Both are the foot's profile from left to right times a bell from top to bottom.
    """
    height, width = mask.shape
    foot = box.y + box.height
    rows = max(1, round(_FOOT * box.height))
    profile = mask[foot - rows : foot].max(axis=0).astype(np.float32) / 255
    middle = float(np.average(np.arange(width) + 0.5, weights=profile))
    angle, soft, wide = math.radians(shadow.direction), shadow.softness, box.width
    lean = 0.2 * wide * math.cos(angle), 0.2 * wide * _FORESHORTENING * math.sin(angle)
    # In parts of the product's width. The line follows what touches the ground; the pool surrounds the whole product.
    line = _smoothed(profile, 0.2 * soft * wide), _bell(height, foot, (0.02 + 0.06 * soft) * wide)
    pool = (
        _bell(width, middle + lean[0], (0.3 + 0.6 * soft) * wide),
        _bell(height, foot + lean[1], (0.05 + 0.2 * soft) * wide),
    )
    layer = np.empty((height, width), np.uint8)
    for strip in strips(height, width):
        dark = _LINE * np.outer(line[1][strip], line[0]) + _POOL * np.outer(pool[1][strip], pool[0])
        layer[strip] = np.rint(255 * np.clip(shadow.intensity * dark, 0, 1))
    return layer


def _smoothed(profile: Row, radius: float) -> Row:
    """A profile under a bell of that radius, in pixels; its largest value stays."""
    if radius < 0.5:
        return profile
    reach = min(math.ceil(3 * radius), len(profile))
    bell = np.exp(-((np.arange(-reach, reach + 1, dtype=np.float32) / radius) ** 2))
    result = np.convolve(profile, bell / bell.sum(), mode="full")[reach:-reach]
    most = float(result.max())
    return np.asarray(result / most if most > 0 else result, np.float32)


def _bell(count: int, middle: float, radius: float) -> Row:
    distance = (np.arange(count, dtype=np.float32) + 0.5 - middle) / max(radius, 0.5)
    return np.asarray(np.exp(-np.square(distance)), np.float32)


def _cast(mask: Bytes, box: Rect, shadow: Shadow) -> Bytes:
    """The product's outline, laid down on the ground from its foot, softer and paler with the distance."""
    height, width = mask.shape
    foot, angle = float(box.y + box.height), math.radians(shadow.direction)
    across = shadow.length * math.cos(angle)
    # A shadow that falls straight to a side still has some depth: an outline without height would be a line.
    down = shadow.length * _FORESHORTENING * math.sin(angle)
    down = math.copysign(max(abs(down), 0.12), down if down else 1.0)
    # Ground (x, y) shows the outline's point that is (y − foot) ÷ down above the foot.
    affine = (1, -across / down, across / down * foot, 0, -1 / down, foot + foot / down)
    outline = Image.fromarray(mask).transform(
        (width, height), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    near = 0.01 * shadow.softness * box.height
    sharp = np.asarray(outline.filter(ImageFilter.GaussianBlur(near)))
    soft = np.asarray(outline.filter(ImageFilter.GaussianBlur(near + 0.08 * shadow.softness * box.height)))
    far = np.clip((np.arange(height, dtype=np.float32) + 0.5 - foot) / (down * box.height), 0, 1)
    layer = np.empty((height, width), np.uint8)
    for strip in strips(height, width):
        part = far[strip, None]
        dark = (sharp[strip] * (1 - part) + soft[strip] * part) * (1 - (1 - _FAR) * part)
        layer[strip] = np.rint(np.clip(shadow.intensity * dark, 0, 255))
    return layer
