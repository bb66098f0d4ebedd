"""One number of a request, and the range that it must lie in."""

from __future__ import annotations

import math

from backdrop.errors import Reason, error


def within(field: str, value: float, least: float, most: float) -> float:
    """The number that the field `field` holds.

    Raises:
        InvalidRequestError: it is no number from `least` to `most`.
    """
    if not (math.isfinite(value) and least <= value <= most):
        raise error(Reason.OUT_OF_RANGE, f"{field} must be a number from {least} to {most}.", field=field)
    return value
