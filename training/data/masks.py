"""The masks of stage 1, one kind a task.

Fill has random shapes and objects, expand has borders, erase has holes. In a mask [H, W], 1 is where the picture is to
be made. Text-to-image makes all of it, and a background all but the product: neither needs a mask from here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backdrop.contract.erasing import hole_around
from training.data.pictures import random_mask

KINDS = ("random", "border", "object", "hole")
"""An object's mask is made with the object, for a caption that names it; a hole is made without."""

ObjectMask = Callable[[np.random.Generator, NDArray[np.float32]], NDArray[np.float32]]
"""A mask [H, W] from the coverage [H, W] of a picture's product."""


def border_mask(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """The margin around a rectangle that is known; one to four of its sides lie inside the picture."""
    sides = rng.random(4) < 0.55
    sides[int(rng.integers(4))] = True
    # Up to half is asked for often; with more on both sides, a fifth of the picture stays known.
    top, bottom, left, right = (float(rng.uniform(0.1, 0.55)) * side for side in sides)
    top, bottom, left, right = *_at_most(0.8, top, bottom), *_at_most(0.8, left, right)
    mask = np.ones((height, width), np.float32)
    mask[round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)] = 0
    return mask


def _at_most(total: float, one: float, other: float) -> tuple[float, float]:
    """Both, made smaller in proportion where they are more than `total` together."""
    scale = total / max(one + other, total)
    return one * scale, other * scale


def object_mask(rng: np.random.Generator, product: NDArray[np.float32]) -> NDArray[np.float32]:
    """A place for an object, as people paint it: its outline far widened, or the box or the ellipse around it."""
    rows, columns = (np.flatnonzero((product > 0.1).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.asarray(random_mask(rng, *product.shape), np.float32)
    height, width = product.shape
    if rng.random() < 0.4:
        return _widened(product > 0.1, round(height * float(rng.uniform(0.02, 0.1))))
    margin = float(rng.uniform(0.02, 0.12)) * height
    top, bottom, left, right = rows[0] - margin, rows[-1] + margin, columns[0] - margin, columns[-1] + margin
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = np.abs(y - (top + bottom) / 2) / (bottom - top), np.abs(x - (left + right) / 2) / (right - left)
    # The ellipse goes through the corners of the box.
    inside = np.maximum(y, x) <= 0.5 if rng.random() < 0.5 else y**2 + x**2 <= 0.5
    return np.asarray(inside, np.float32)


def hole_mask(rng: np.random.Generator, product: NDArray[np.float32]) -> NDArray[np.float32]:
    """A hole where an object was: the one that erase makes by default, or its outline, a little widened."""
    if rng.random() < 0.5:
        return np.asarray(hole_around(np.where(product > 0.1, 255, 0).astype(np.uint8)) > 0, np.float32)
    return _widened(product > 0.1, max(1, round(product.shape[0] * float(rng.uniform(0.01, 0.05)))))


def _widened(shape: NDArray[np.bool_], reach: int) -> NDArray[np.float32]:
    """`shape` [H, W] and all pixels within a square of `reach` pixels."""
    wide = shape.astype(np.float32)
    for axis in (0, 1):
        sums = np.cumsum(np.pad(wide, [(reach + 1, reach) if n == axis else (0, 0) for n in (0, 1)]), axis=axis)
        window = 2 * reach + 1
        wide = sums.take(range(window, sums.shape[axis]), axis) - sums.take(range(sums.shape[axis] - window), axis)
        wide = (wide > 0.5).astype(np.float32)
    return np.ascontiguousarray(wide)


def draw(kind: str, rng: np.random.Generator, product: NDArray[np.float32]) -> NDArray[np.float32]:
    """A mask [H, W] of one of `KINDS` for a picture with this product coverage [H, W]."""
    if kind == "border":
        return border_mask(rng, *product.shape)
    if kind == "object":
        return object_mask(rng, product)
    if kind == "hole":
        return hole_mask(rng, product)
    return np.asarray(random_mask(rng, *product.shape), np.float32)
