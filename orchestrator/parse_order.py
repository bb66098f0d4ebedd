"""What a request says of when it runs and where guidance is applied: its class, and its guidance window."""

from __future__ import annotations

import math

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.domain import Window
from orchestrator.scheduling import Priority

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
