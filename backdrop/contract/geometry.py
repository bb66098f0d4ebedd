"""Sizes, rectangles and placement in whole pixels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True)
class Size:
    """A size in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width × height."""
        return self.width * self.height

    @property
    def megapixels(self) -> float:
        """Width × height in millions."""
        return self.pixels / 1e6


@dataclasses.dataclass(frozen=True)
class Rect:
    """A rectangle of whole pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Fit:
    """As large as fits; `padding` is a fraction of the shorter side, alignments run from 0.0 (left, top) to 1.0."""

    padding: float = 0.15
    horizontal: float = 0.5
    vertical: float = 0.5


def bounding_box(mask: npt.NDArray[np.uint8]) -> Rect | None:
    """The smallest rectangle that holds every pixel of `mask` [H, W] above zero; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def enclosing(rects: Sequence[Rect]) -> Rect:
    """The smallest rectangle that holds all of `rects`, of which there is at least one."""
    x, y = min(rect.x for rect in rects), min(rect.y for rect in rects)
    right, bottom = max(rect.x + rect.width for rect in rects), max(rect.y + rect.height for rect in rects)
    return Rect(x, y, right - x, bottom - y)


def place(cutout: Rect, canvas: Size, placement: Fit | Rect | None) -> Rect:
    """Where a cut-out goes on the canvas; it keeps its aspect ratio. Placement None leaves it where it is."""
    if placement is None:
        return cutout
    if isinstance(placement, Rect):
        room, horizontal, vertical = placement, 0.5, 0.5
    else:
        padding = round(placement.padding * min(canvas.width, canvas.height))
        room = Rect(padding, padding, max(1, canvas.width - 2 * padding), max(1, canvas.height - 2 * padding))
        horizontal, vertical = placement.horizontal, placement.vertical
    scale = min(room.width / cutout.width, room.height / cutout.height)
    width = min(room.width, max(1, round(cutout.width * scale)))
    height = min(room.height, max(1, round(cutout.height * scale)))
    x = room.x + round((room.width - width) * horizontal)
    y = room.y + round((room.height - height) * vertical)
    return Rect(x, y, width, height)


def nearest_bucket(canvas: Size, buckets: Sequence[Size]) -> Size:
    """The bucket whose aspect ratio is nearest to the canvas's."""
    aspect = math.log(canvas.width / canvas.height)
    return min(buckets, key=lambda bucket: abs(math.log(bucket.width / bucket.height) - aspect))
