"""Expanding a picture: how large the larger picture is, and where the sent one lies in it."""

from __future__ import annotations

import dataclasses

import numpy as np

from backdrop.contract.arrays import Bytes
from backdrop.contract.canvas import Canvas, Kept, MaskSource
from backdrop.contract.cutouts import paste
from backdrop.contract.geometry import Rect, Size
from backdrop.contract.limits import MAX_PICTURE_SIDE
from backdrop.contract.placement import check_box
from backdrop.contract.vocabulary import HORIZONTAL, VERTICAL
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

MAX_RATIO = 100
"""Of an aspect ratio's two numbers."""


@dataclasses.dataclass(frozen=True)
class Margins:
    """Pixels that are added on each side."""

    left: int
    top: int
    right: int
    bottom: int


@dataclasses.dataclass(frozen=True)
class Extent:
    """How far a picture is expanded; one of `margins`, `ratio` and `size` is set."""

    margins: Margins | None = None
    ratio: float | None = None
    """Width ÷ height of the larger picture, which is as small as it can be around the whole sent one."""
    size: Size | None = None
    """Of the larger picture."""
    box: Rect | None = None
    """Where the sent picture lies in one of `size`."""
    horizontal: float = 0.5
    vertical: float = 0.5
    """Where the sent picture lies without margins or box, from 0.0 (left, top) to 1.0."""

    def place(self, picture: Size) -> tuple[Size, Rect]:
        """The size of the larger picture, and the rectangle of it that the sent one takes."""
        if self.margins is not None:
            left, top = self.margins.left, self.margins.top
            size = Size(left + picture.width + self.margins.right, top + picture.height + self.margins.bottom)
            return size, Rect(left, top, picture.width, picture.height)
        if self.ratio is not None:
            size = Size(
                max(picture.width, round(picture.height * self.ratio)),
                max(picture.height, round(picture.width / self.ratio)),
            )
            return size, self._aligned(picture, size)
        assert self.size is not None, "one of the three is set"
        room = self.size if self.box is None else Size(self.box.width, self.box.height)
        scale = min(room.width / picture.width, room.height / picture.height)
        # Without a box a picture that is small enough keeps its size: expanding does not enlarge it.
        scale = min(scale, 1.0) if self.box is None else scale
        scaled = Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        scaled = Size(min(scaled.width, room.width), min(scaled.height, room.height))
        if self.box is None:
            return self.size, self._aligned(scaled, self.size)
        x = self.box.x + (self.box.width - scaled.width) // 2
        y = self.box.y + (self.box.height - scaled.height) // 2
        return self.size, Rect(x, y, scaled.width, scaled.height)

    def _aligned(self, part: Size, whole: Size) -> Rect:
        x = round((whole.width - part.width) * self.horizontal)
        y = round((whole.height - part.height) * self.vertical)
        return Rect(x, y, part.width, part.height)


def read_extent(message: pb.ExpandTask, size: Size | None) -> Extent:
    """How far a picture is expanded; `size` is `delivery.size`.

    Raises:
        InvalidRequestError: neither or more than one of margins, aspect ratio and size is set, or a value is out of
            range.
    """
    which = message.WhichOneof("extent")
    if which in ("margins", "aspect_ratio") and size is not None:
        text = f"delivery.size and expand.{which} both say how large the picture becomes; leave one of them out."
        raise error(Reason.FIELD_NOT_TAKEN, text, field="delivery.size")
    if which in (None, "box") and size is None:
        text = "expand needs expand.margins, expand.aspect_ratio or delivery.size; set one of them."
        raise error(Reason.MISSING_FIELD, text, field="delivery.size" if which else "expand.margins")
    for name, values in (("horizontal", HORIZONTAL), ("vertical", VERTICAL)):
        if getattr(message, name) not in values:
            path = f"expand.{name}"
            raise error(Reason.UNKNOWN_VALUE, f"{path} is not an alignment that this server knows.", field=path)
    horizontal, vertical = HORIZONTAL[message.horizontal], VERTICAL[message.vertical]
    if which == "margins":
        return Extent(margins=_margins(message.margins))
    if which == "aspect_ratio":
        return Extent(
            ratio=read_ratio("expand.aspect_ratio", message.aspect_ratio), horizontal=horizontal, vertical=vertical
        )
    box = message.box
    rect = Rect(box.x, box.y, box.width, box.height) if which == "box" else None
    assert size is not None, "refused above"
    check_box("expand", rect, size)
    return Extent(size=size, box=rect, horizontal=horizontal, vertical=vertical)


def _margins(message: pb.Margins) -> Margins:
    margins = Margins(message.left, message.top, message.right, message.bottom)
    for name, value in dataclasses.asdict(margins).items():
        if value > MAX_PICTURE_SIDE:
            path = f"expand.margins.{name}"
            raise error(
                Reason.OUT_OF_RANGE, f"{path} is {value}; it must be 0 to {MAX_PICTURE_SIDE} pixels.", field=path
            )
    return margins


def read_ratio(field: str, message: pb.AspectRatio) -> float:
    """Width ÷ height; raises InvalidRequestError when one of the two is out of range."""
    for name in ("width", "height"):
        value = getattr(message, name)
        if not 1 <= value <= MAX_RATIO:
            path = f"{field}.{name}"
            raise error(Reason.OUT_OF_RANGE, f"{path} is {value}; it must be 1 to {MAX_RATIO}.", field=path)
    ratio: float = message.width / message.height
    return ratio


def expanded_size(extent: Extent, picture: Size, max_pixels: int) -> Size:
    """The size of the larger picture, by the size of the sent one.

    Raises:
        InvalidRequestError: it is too large, or the sent picture leaves nothing to make.
    """
    size, box = extent.place(picture)
    if size == Size(box.width, box.height):
        text = f"expand: the picture fills the whole {size.width}×{size.height}; there is nothing to make around it."
        raise error(Reason.INVALID_SIZE, text, field=_field(extent))
    if max(size.width, size.height) > MAX_PICTURE_SIDE or size.pixels > max_pixels:
        text = (
            f"expand: the picture becomes {size.width}×{size.height}; at most {MAX_PICTURE_SIDE} pixels a side and"
            f" {max_pixels / 1e6:g} megapixels are allowed."
        )
        raise error(Reason.INVALID_SIZE, text, field=_field(extent))
    return size


def _field(extent: Extent) -> str:
    if extent.margins is not None:
        return "expand.margins"
    return "delivery.size" if extent.size is not None else "expand.aspect_ratio"


def expanded_canvas(picture: Bytes, extent: Extent) -> Canvas:
    """The picture [H, W, 3] is known where it lies in the larger one; everything around it is to be made."""
    source = Size(picture.shape[1], picture.shape[0])
    size, box = extent.place(source)
    opaque = np.full(picture.shape[:2], 255, np.uint8)
    known, alpha = paste(picture, opaque, Rect(0, 0, source.width, source.height), size, box)
    unscaled = (box.width, box.height) == (source.width, source.height)
    return Canvas(known, np.invert(alpha), Kept(box, unscaled, MaskSource.REQUEST), continues=True)
