"""Layouts: several sizes or places of the same products from one request, given one by one or chosen by the server."""

from __future__ import annotations

import dataclasses

from backdrop.contract.expansion import Extent, read_ratio
from backdrop.contract.geometry import Fit, Sides, Size
from backdrop.contract.limits import MAX_LAYOUTS, MAX_SIDE
from backdrop.contract.placement import Placement, read_placement
from backdrop.contract.products import FIRST, check_boxes, read_placements
from backdrop.contract.read import read_size
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_FIELD, _AUTOMATIC = f"{FIRST}.layouts", f"{FIRST}.automatic_placements"


def _standing(left: float, top: float, right: float, bottom: float, vertical: float = 1.0) -> Fit:
    """In a room with so much free space at its sides, on its ground; against the border where the photo cuts it off."""
    return Fit(0.0, 0.5, vertical, padding_sides=Sides(left, top, right, bottom), snap_cut=True)


AUTOMATIC = (
    _standing(0.18, 0.22, 0.18, 0.12),
    _standing(0.08, 0.3, 0.45, 0.1),
    _standing(0.45, 0.3, 0.08, 0.1),
    _standing(0.15, 0.15, 0.15, 0.15, vertical=0.5),
    _standing(0.3, 0.5, 0.3, 0.08),
    _standing(0.1, 0.15, 0.4, 0.15, vertical=0.5),
    _standing(0.4, 0.15, 0.1, 0.15, vertical=0.5),
)
"""In the order in which they are chosen: the middle, both thirds, large and centred, small and low, both sides."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one picture is laid out."""

    placements: tuple[Placement, ...]
    """Of each product, the rearmost first."""
    size: Size


def read_layouts(
    message: pb.BackgroundTask, size: Size | None, photo: Size, limits: info_pb.Limits
) -> tuple[Layout, ...]:
    """The layouts of a request whose delivery has `size` and whose first photo has the size `photo`; at least one.

    Raises:
        InvalidRequestError: there are too many, two ways of laying out are mixed, or a size or placement is wrong.
    """
    if len(message.layouts) > MAX_LAYOUTS:
        text = f"{_FIELD} holds {len(message.layouts)} layouts; at most {MAX_LAYOUTS} are taken."
        raise error(Reason.OUT_OF_RANGE, text, field=_FIELD)
    if message.automatic_placements:
        return _automatic(message, size or photo)
    layouts = tuple(
        _layout(f"{_FIELD}[{index}]", message, each, size, photo, limits) for index, each in enumerate(message.layouts)
    )
    layouts = layouts or (Layout(read_placements(message, size), size or photo),)
    for index, layout in enumerate(layouts):
        own = f"{_FIELD}[{index}]" if message.layouts and message.layouts[index].HasField("placement") else FIRST
        check_boxes(layout.placements, layout.size, own)
    return layouts


def _automatic(message: pb.BackgroundTask, size: Size) -> tuple[Layout, ...]:
    if message.automatic_placements > len(AUTOMATIC):
        text = f"{_AUTOMATIC} is {message.automatic_placements}; it must be 1 to {len(AUTOMATIC)}."
        raise error(Reason.OUT_OF_RANGE, text, field=_AUTOMATIC)
    for name in ("layouts", "placement", "more_products"):
        if getattr(message, name) if name != "placement" else message.HasField("placement"):
            text = f"{_AUTOMATIC} places one product itself; leave {FIRST}.{name} out."
            raise error(Reason.FIELD_NOT_TAKEN, text, field=f"{FIRST}.{name}")
    return tuple(Layout((fit,), size) for fit in AUTOMATIC[: message.automatic_placements])


def _layout(
    field: str, message: pb.BackgroundTask, layout: pb.Layout, size: Size | None, photo: Size, limits: info_pb.Limits
) -> Layout:
    shape, own = layout.WhichOneof("shape"), size
    if shape == "size":
        own = read_size(f"{field}.size", layout.size, limits)
    elif shape == "aspect_ratio":
        own, _ = Extent(ratio=read_ratio(f"{field}.aspect_ratio", layout.aspect_ratio)).place(size or photo)
        if max(own.width, own.height) > MAX_SIDE or own.pixels > limits.max_pixels:
            text = f"{field}.aspect_ratio makes a picture of {own.width}×{own.height}, which is too large."
            raise error(Reason.INVALID_SIZE, text, field=f"{field}.aspect_ratio")
    first, *others = read_placements(message, own)
    if layout.HasField("placement"):
        first = read_placement(f"{field}.placement", layout.placement, size=own, is_set=True)
    return Layout((first, *others), own or photo)
