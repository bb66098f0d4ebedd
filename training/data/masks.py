"""The masks of stage 1, one kind a task: fill has random shapes, expand has borders, erase has objects.

In a mask [H, W], 1 is where the picture is to be made. Text-to-image makes all of it and needs no mask here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.pictures import random_mask

KINDS = ("random", "border", "object")


def border_mask(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    """The margin around a rectangle that is known; one to four of its sides lie inside the picture."""
    sides = rng.random(4) < 0.55
    sides[int(rng.integers(4))] = True
    top, bottom, left, right = (float(rng.uniform(0.1, 0.45)) * side for side in sides)
    mask = np.ones((height, width), np.float32)
    mask[round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)] = 0
    return mask


def object_mask(rng: np.random.Generator, product: NDArray[np.float32]) -> NDArray[np.float32]:
    """A hole in the shape of an object: the product's outline, widened; most are mirrored or moved."""
    height, width = product.shape
    shape = (product > 0.1).astype(np.float32)
    if rng.random() < 0.75:
        if rng.random() < 0.5:
            shape = shape[:, ::-1]
        shift = (int(rng.integers(-height // 3, height // 8)), int(rng.integers(-width // 3, width // 3 + 1)))
        shape = np.roll(shape, shift, (0, 1))
    reach = max(1, round(height * float(rng.uniform(0.01, 0.05))))
    for axis in (0, 1):
        sums = np.cumsum(np.pad(shape, [(reach + 1, reach) if n == axis else (0, 0) for n in (0, 1)]), axis=axis)
        wide = sums.take(range(2 * reach + 1, sums.shape[axis]), axis) - sums.take(
            range(sums.shape[axis] - 2 * reach - 1), axis
        )
        shape = (wide > 0.5).astype(np.float32)
    return np.ascontiguousarray(shape)


def draw(kind: str, rng: np.random.Generator, product: NDArray[np.float32]) -> NDArray[np.float32]:
    """A mask [H, W] of one of `KINDS` for a picture with this product coverage [H, W]."""
    if kind == "border":
        return border_mask(rng, *product.shape)
    if kind == "object":
        return object_mask(rng, product)
    mask: NDArray[np.float32] = random_mask(rng, *product.shape)
    return mask
