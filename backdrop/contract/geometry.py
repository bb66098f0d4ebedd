"""Sizes, rectangles and placement in whole pixels."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence

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


class Side(enum.StrEnum):
    """A side of a rectangle."""

    LEFT = "left"
    TOP = "top"
    RIGHT = "right"
    BOTTOM = "bottom"


@dataclasses.dataclass(frozen=True)
class Sides:
    """A number for each side."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


@dataclasses.dataclass(frozen=True)
class Fit:
    """As large as fits into an area; free space is a fraction of the area's shorter side."""

    padding: float = 0.15
    horizontal: float = 0.5
    vertical: float = 0.5
    """Alignments run from 0.0 (left, top) to 1.0."""
    padding_sides: Sides | None = None
    """Instead of `padding`."""
    margin: Sides = Sides()
    """Around the padding, and kept on sides without padding."""
    keep_size: bool = False
    """The cut-out is not resized; padding gives way to it."""
    snap: frozenset[Side] = frozenset()
    """Sides without padding, at which the cut-out stands."""
    snap_cut: bool = False
    """It also snaps to every side on which its photo's edge cuts it off."""
    area: Rect | None = None
    """None = the whole canvas."""

    def space(self, side: Side) -> float:
        """The padding of a side."""
        return self.padding if self.padding_sides is None else float(getattr(self.padding_sides, side))


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


def place(cutout: Rect, canvas: Size, placement: Fit | Rect | None, cut: frozenset[Side] = frozenset()) -> Rect:
    """Where a cut-out goes on the canvas; it keeps its aspect ratio. Placement None leaves it where it is.

    `cut`: the sides on which its photo's edge cuts it off. A cut-out that keeps its size may be larger than the room.
    """
    if placement is None:
        return cutout
    if isinstance(placement, Rect):
        return _fitted(cutout, placement, 0.5, 0.5)
    snap = placement.snap | cut if placement.snap_cut else placement.snap
    horizontal = _aligned(placement.horizontal, Side.LEFT in snap, Side.RIGHT in snap)
    vertical = _aligned(placement.vertical, Side.TOP in snap, Side.BOTTOM in snap)
    bare, room = _rooms(placement, canvas, snap)
    if not placement.keep_size:
        return _fitted(cutout, room, horizontal, vertical)
    x = room.x + round((room.width - cutout.width) * horizontal)
    y = room.y + round((room.height - cutout.height) * vertical)
    x = max(bare.x, min(x, bare.x + bare.width - cutout.width))
    y = max(bare.y, min(y, bare.y + bare.height - cutout.height))
    return Rect(x, y, cutout.width, cutout.height)


def room_of(fit: Fit, canvas: Size) -> Rect:
    """The area without its margins: the most that a cut-out may take."""
    return _rooms(fit, canvas, frozenset())[0]


def _rooms(fit: Fit, canvas: Size, snap: frozenset[Side]) -> tuple[Rect, Rect]:
    """The area without its margins, and the same without padding where the cut-out does not snap."""
    area = fit.area or Rect(0, 0, canvas.width, canvas.height)
    unit = min(area.width, area.height)
    margin = {side: round(getattr(fit.margin, side) * unit) for side in Side}
    padding = {side: 0 if side in snap else round(fit.space(side) * unit) for side in Side}
    # What must reach two opposite sides takes the whole length of the others, if it needs that.
    for pair, others in ((_ACROSS, _DOWN), (_DOWN, _ACROSS)):
        if pair <= snap:
            padding |= dict.fromkeys(others, 0)
    return _inset(area, margin), _inset(area, {side: margin[side] + padding[side] for side in Side})


_ACROSS, _DOWN = frozenset({Side.LEFT, Side.RIGHT}), frozenset({Side.TOP, Side.BOTTOM})


def _inset(area: Rect, free: Mapping[Side, int]) -> Rect:
    width = max(1, area.width - free[Side.LEFT] - free[Side.RIGHT])
    height = max(1, area.height - free[Side.TOP] - free[Side.BOTTOM])
    return Rect(area.x + free[Side.LEFT], area.y + free[Side.TOP], width, height)


def _aligned(alignment: float, first: bool, last: bool) -> float:
    """Where a cut-out stands that snaps to the first or the last of two sides."""
    return 0.0 if first else 1.0 if last else alignment


def _fitted(cutout: Rect, room: Rect, horizontal: float, vertical: float) -> Rect:
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
