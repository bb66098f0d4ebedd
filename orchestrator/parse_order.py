"""What a request says of when it runs and what it may save: its class, guidance window and early dropping."""

from __future__ import annotations

import math

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.domain import Dropping, Window
from orchestrator.scheduling import Priority

_AFTER = 0.5
_UNKNOWN = "priority is not one this server knows: interactive, standard or bulk."


def read_priority(request: pb.GenerateRequest) -> Priority:
    """The class of a request.

    Raises:
        InvalidRequestError: there is no such class.
    """
    if request.priority == pb.PRIORITY_UNSPECIFIED:
        return Priority.STANDARD
    try:
        return Priority(request.priority)
    except ValueError:
        raise error(Reason.UNKNOWN_VALUE, _UNKNOWN, field="priority") from None


def read_dropping(request: pb.GenerateRequest, variants: int, top_k: int, steps: int) -> Dropping | None:
    """How a request wants weaker variants given up; None where it says nothing, or there is nothing to give up.

    Raises:
        InvalidRequestError: it keeps too few or too many, or decides before the first step or after the last.
    """
    if not request.HasField("early_dropping"):
        return None
    keep, given = request.early_dropping.keep, request.early_dropping
    if not top_k <= keep <= variants:
        message = f"early_dropping.keep is {keep}; it must be {top_k} (top_k) to {variants} (variants)."
        raise error(Reason.OUT_OF_RANGE, message, field="early_dropping.keep")
    after = given.after if given.HasField("after") else _AFTER
    if not (math.isfinite(after) and 0.0 < after < 1.0):
        message = "early_dropping.after must be a number above 0.0 and below 1.0."
        raise error(Reason.OUT_OF_RANGE, message, field="early_dropping.after")
    return Dropping(keep, after) if keep < variants and steps > 1 else None


def read_window(request: pb.GenerateRequest) -> Window:
    """The steps in which a request wants guidance; all where it says nothing.

    Raises:
        InvalidRequestError: the window is empty, or not within 0 to 1.
    """
    if not request.HasField("guidance_window"):
        return Window()
    start, stop = request.guidance_window.start, request.guidance_window.stop
    if not (math.isfinite(start) and 0.0 <= start < 1.0):
        message = "guidance_window.start must be a number from 0.0 to below 1.0."
        raise error(Reason.OUT_OF_RANGE, message, field="guidance_window.start")
    if not (math.isfinite(stop) and start < stop <= 1.0):
        message = f"guidance_window.stop must be a number above start ({start:g}) and at most 1.0."
        raise error(Reason.OUT_OF_RANGE, message, field="guidance_window.stop")
    return Window(start, stop)
