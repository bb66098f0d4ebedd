"""Placements on the wire: what they mean, and which are refused."""

from __future__ import annotations

import math

from backdrop.contract.geometry import Fit, Rect, Side, Sides, Size
from backdrop.contract.limits import MAX_FREE, MAX_PADDING
from backdrop.contract.vocabulary import HORIZONTAL, SNAPS, VERTICAL
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Placement = Fit | Rect | None
"""Where a cut-out is placed; None leaves it where it is in its photo."""


def read_placement(field: str, placement: pb.Placement, *, size: Size | None, is_set: bool) -> Placement:
    """Where a cut-out is placed; None leaves it where it is. `is_set`: the request has the field.

    Raises:
        InvalidRequestError: an alignment or a side is unknown, or a padding or margin is out of range.
    """
    which = placement.WhichOneof("placement")
    if which == "box":
        return _rect(placement.box)
    if which is None and size is None and not is_set:
        return None
    return _fit(f"{field}.fit", placement.fit)


def _fit(field: str, message: pb.Fit) -> Fit:
    padding = message.padding if message.HasField("padding") else Fit.padding
    if not (math.isfinite(padding) and 0.0 <= padding <= MAX_PADDING):
        text = f"{field}.padding must be 0.0 to {MAX_PADDING} of the shorter side."
        raise error(Reason.INVALID_PLACEMENT, text, field=f"{field}.padding")
    for name, values in (("horizontal", HORIZONTAL), ("vertical", VERTICAL)):
        if getattr(message, name) not in values:
            path = f"{field}.{name}"
            raise error(Reason.UNKNOWN_VALUE, f"{path} is not an alignment that this server knows.", field=path)
    for index, value in enumerate(message.snap):
        if value not in SNAPS:
            path = f"{field}.snap[{index}]"
            raise error(Reason.UNKNOWN_VALUE, f"{path} is not a side that this server knows.", field=path)
    sides = message.padding_sides if message.HasField("padding_sides") else None
    fit = Fit(
        padding,
        HORIZONTAL[message.horizontal],
        VERTICAL[message.vertical],
        padding_sides=None if sides is None else _sides(f"{field}.padding_sides", sides, padding),
        margin=_sides(f"{field}.margin", message.margin, 0.0),
        keep_size=message.keep_size,
        snap=frozenset(side for value in message.snap if (side := SNAPS[value]) is not None),
        snap_cut=pb.SNAP_CUT in message.snap,
        area=_rect(message.area) if message.HasField("area") else None,
    )
    _check_free(field, fit)
    return fit


def _sides(field: str, message: pb.Sides, default: float) -> Sides:
    values = {}
    for side in Side:
        value = getattr(message, side) if message.HasField(side.value) else default
        if not (math.isfinite(value) and 0.0 <= value <= MAX_FREE):
            text = f"{field}.{side} must be 0.0 to {MAX_FREE} of the shorter side."
            raise error(Reason.INVALID_PLACEMENT, text, field=f"{field}.{side}")
        values[side.value] = float(value)
    return Sides(**values)


def _check_free(field: str, fit: Fit) -> None:
    """Raises InvalidRequestError when padding and margins of two opposite sides leave too little room."""
    for first, last in ((Side.LEFT, Side.RIGHT), (Side.TOP, Side.BOTTOM)):
        free = sum(fit.space(side) + getattr(fit.margin, side) for side in (first, last))
        # 32 bits on the wire: 0.45 twice is a little more than 0.9.
        if free > MAX_FREE + 1e-6:
            path = f"{field}.{'margin' if fit.margin != Sides() else 'padding_sides'}"
            text = (
                f"{path}: padding and margins at {first} and {last} take {free:.2f} of the shorter side; {MAX_FREE} is"
                " the most."
            )
            raise error(Reason.INVALID_PLACEMENT, text, field=path)


def _rect(message: pb.Box) -> Rect:
    return Rect(message.x, message.y, message.width, message.height)


def check_box(field: str, placement: Placement, size: Size) -> None:
    """Raises InvalidRequestError when an explicit box or area does not lie inside the picture."""
    if isinstance(placement, Rect):
        rect, path = placement, f"{field}.box"
    elif placement is not None and placement.area is not None:
        rect, path = placement.area, f"{field}.fit.area"
    else:
        return
    inside = rect.x + rect.width <= size.width and rect.y + rect.height <= size.height
    if rect.width < 1 or rect.height < 1 or not inside:
        message = f"{path} must have at least one pixel and lie inside the {size.width}×{size.height} picture."
        raise error(Reason.INVALID_PLACEMENT, message, field=path)
