"""Placements on the wire: what they mean, and which are refused."""

from __future__ import annotations

import math

from backdrop.contract.geometry import Fit, Rect, Size
from backdrop.contract.limits import MAX_PADDING
from backdrop.contract.vocabulary import HORIZONTAL, VERTICAL
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

Placement = Fit | Rect | None
"""Where a cut-out is placed; None leaves it where it is in its photo."""


def read_placement(field: str, placement: pb.Placement, *, size: Size | None, is_set: bool) -> Placement:
    """Where a cut-out is placed; None leaves it where it is. `is_set`: the request has the field.

    Raises:
        InvalidRequestError: an alignment is unknown, or the padding is out of range.
    """
    which = placement.WhichOneof("placement")
    if which == "box":
        return Rect(placement.box.x, placement.box.y, placement.box.width, placement.box.height)
    if which is None and size is None and not is_set:
        return None
    fit = placement.fit
    padding = fit.padding if fit.HasField("padding") else Fit.padding
    if not (math.isfinite(padding) and 0.0 <= padding <= MAX_PADDING):
        message = f"{field}.fit.padding must be 0.0 to {MAX_PADDING} of the shorter side."
        raise error(Reason.INVALID_PLACEMENT, message, field=f"{field}.fit.padding")
    for name, values in (("horizontal", HORIZONTAL), ("vertical", VERTICAL)):
        if getattr(fit, name) not in values:
            path = f"{field}.fit.{name}"
            raise error(Reason.UNKNOWN_VALUE, f"{path} is not an alignment that this server knows.", field=path)
    return Fit(padding, HORIZONTAL[fit.horizontal], VERTICAL[fit.vertical])


def check_box(field: str, placement: Placement, size: Size) -> None:
    """Raises InvalidRequestError when an explicit box does not lie inside the picture."""
    if not isinstance(placement, Rect):
        return
    inside = placement.x + placement.width <= size.width and placement.y + placement.height <= size.height
    if placement.width < 1 or placement.height < 1 or not inside:
        message = f"{field}.box must have at least one pixel and lie inside the {size.width}×{size.height} picture."
        raise error(Reason.INVALID_PLACEMENT, message, field=f"{field}.box")
