"""The fake's checks of a request's class, guidance window and early dropping, as the contract has them."""

from __future__ import annotations

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb


def check_priority(request: pb.GenerateRequest) -> pb.Priority:
    """The class of a request.

    Raises:
        InvalidRequestError: there is no such class.
    """
    known = (pb.PRIORITY_INTERACTIVE, pb.PRIORITY_STANDARD, pb.PRIORITY_BULK)
    priority = request.priority or pb.PRIORITY_STANDARD
    if priority not in known:
        raise error(Reason.UNKNOWN_VALUE, "priority has a value that this server does not know.", field="priority")
    return priority


def check_dropping(request: pb.GenerateRequest, settings: pb.EffectiveSettings) -> list[pb.EarlyDropping]:
    """The rounds in which weaker variants are given up, with their default; empty where there is nothing to give up.

    Raises:
        InvalidRequestError: a round keeps too few or too many, decides before the first step or after the last, or is
            not later than the one before it; a draft has too few or too many steps, or comes too late; or there are
            too many rounds.
    """
    if len(request.early_dropping) > 8:
        raise error(Reason.OUT_OF_RANGE, "early_dropping has more than 8 rounds.", field="early_dropping")
    rounds, most, last = [], settings.variants, 0.0
    for index, given in enumerate(request.early_dropping):
        if not settings.top_k <= given.keep <= most:
            field = f"early_dropping[{index}].keep"
            raise error(Reason.OUT_OF_RANGE, f"{field} must be {settings.top_k} (top_k) to {most}.", field=field)
        made = pb.EarlyDropping()
        made.CopyFrom(given)
        if given.HasField("draft_steps"):
            _check_draft(given, index, settings.steps)
        else:
            made.after = given.after if given.HasField("after") else 0.5
            if not last < made.after < 1.0:
                field = f"early_dropping[{index}].after"
                raise error(Reason.OUT_OF_RANGE, f"{field} must be above {last:g} and below 1.0.", field=field)
        most, last = given.keep - 1, made.after
        if given.keep < settings.variants and settings.steps > 1:
            rounds.append(made)
    return rounds


def _check_draft(given: pb.EarlyDropping, index: int, steps: int) -> None:
    field, most = f"early_dropping[{index}]", max(1, steps - 1)
    if index > 0:
        raise error(Reason.OUT_OF_RANGE, "only the first round judges drafts.", field=f"{field}.draft_steps")
    if given.HasField("after"):
        raise error(Reason.OUT_OF_RANGE, f"{field}.after goes not with drafts; leave it out.", field=f"{field}.after")
    if not 1 <= given.draft_steps <= most:
        message = f"{field}.draft_steps must be 1 to {most}."
        raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.draft_steps")


def check_window(request: pb.GenerateRequest) -> pb.GuidanceWindow | None:
    """The guidance window of a request; None where it says nothing, or names all steps.

    Raises:
        InvalidRequestError: the window is empty, or not within 0 to 1.
    """
    if not request.HasField("guidance_window"):
        return None
    window = request.guidance_window
    if not 0.0 <= window.start < 1.0:
        field = "guidance_window.start"
        raise error(Reason.OUT_OF_RANGE, f"{field} must be 0.0 to below 1.0.", field=field)
    if not window.start < window.stop <= 1.0:
        field = "guidance_window.stop"
        raise error(Reason.OUT_OF_RANGE, f"{field} must be above start and at most 1.0.", field=field)
    return window if (window.start, window.stop) != (0.0, 1.0) else None
