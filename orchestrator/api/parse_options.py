"""What a request says of when it runs and what it may save: its class, guidance window and early dropping."""

from __future__ import annotations

import math

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.domain import Dropping, Window
from orchestrator.scheduling import Priority

_AFTER = 0.5
_MAX_ROUNDS = 8
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


def read_dropping(request: pb.GenerateRequest, variants: int, top_k: int, steps: int) -> tuple[Dropping, ...]:
    """How a request wants weaker variants given up; empty where it says nothing, or there is nothing to give up.

    Raises:
        InvalidRequestError: a round keeps too few or too many, decides before the first step or after the last, or is
            not later than the one before it; a draft has too few or too many steps, or comes too late; or there are
            too many rounds.
    """
    if len(request.early_dropping) > _MAX_ROUNDS:
        message = f"early_dropping has {len(request.early_dropping)} rounds; at most {_MAX_ROUNDS} are possible."
        raise error(Reason.OUT_OF_RANGE, message, field="early_dropping")
    rounds: list[Dropping] = []
    for index, given in enumerate(request.early_dropping):
        field, last = f"early_dropping[{index}]", rounds[-1] if rounds else None
        most = last.keep - 1 if last else variants
        if not top_k <= given.keep <= most:
            bound = "less than in the round before" if last else "variants"
            message = f"{field}.keep is {given.keep}; it must be {top_k} (top_k) to {most} ({bound})."
            raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.keep")
        if given.HasField("draft_steps"):
            rounds.append(_read_draft(given, index, steps))
            continue
        after = given.after if given.HasField("after") else _AFTER
        if not (math.isfinite(after) and (last.after if last else 0.0) < after < 1.0):
            bound = f"{last.after:g} (the round before)" if last else "0.0"
            message = f"{field}.after must be a number above {bound} and below 1.0."
            raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.after")
        rounds.append(Dropping(given.keep, after))
    return tuple(each for each in rounds if each.keep < variants) if steps > 1 else ()


def _read_draft(given: pb.EarlyDropping, index: int, steps: int) -> Dropping:
    field = f"early_dropping[{index}]"
    if index > 0:
        message = f"{field}.draft_steps is given, but drafts are judged before the first step: in the first round only."
        raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.draft_steps")
    if given.HasField("after"):
        message = f"{field}.after is given beside draft_steps; drafts are judged before the first step. Leave it out."
        raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.after")
    most = max(1, steps - 1)
    if not 1 <= given.draft_steps <= most:
        message = f"{field}.draft_steps is {given.draft_steps}; it must be 1 to {most} (fewer than steps)."
        raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.draft_steps")
    return Dropping(given.keep, draft_steps=given.draft_steps)


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
