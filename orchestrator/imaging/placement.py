"""Geometry: where the cut-out stands on the canvas, and how the canvas lies in a size bucket of the pipeline."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from orchestrator.domain import Bytes, Fit, Rect, Size


@dataclasses.dataclass(frozen=True)
class Scene:
    """A canvas inside the bucket that the models see: `canvas` is where it lies there, in bucket pixels.

    The canvas is never distorted. Where its aspect ratio is not the bucket's, the bucket shows more scene than the
    canvas, and the surplus is cropped off after decoding.
    """

    bucket: Size
    canvas: Rect


def bounding_box(mask: Bytes) -> Rect | None:
    """The smallest rectangle that holds every pixel of `mask` [H, W] above zero; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def place(cutout: Rect, canvas: Size, placement: Fit | Rect | None) -> Rect:
    """Where the cut-out goes on the canvas, its aspect ratio kept; None leaves it where it is."""
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


def choose_scene(canvas: Size, buckets: Sequence[tuple[int, int]]) -> Scene:
    """The bucket (height, width) whose aspect ratio is nearest to the canvas's, and the canvas centred in it."""
    aspect = math.log(canvas.width / canvas.height)
    height, width = min(buckets, key=lambda b: abs(math.log(b[1] / b[0]) - aspect))
    scale = min(width / canvas.width, height / canvas.height)
    inner_width = min(width, max(1, round(canvas.width * scale)))
    inner_height = min(height, max(1, round(canvas.height * scale)))
    inner = Rect((width - inner_width) // 2, (height - inner_height) // 2, inner_width, inner_height)
    return Scene(Size(width, height), inner)
