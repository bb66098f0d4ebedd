"""The rounds of early dropping in a request, checked."""

from __future__ import annotations

import math

from backdrop.contract.limits import MAX_DROPPING_ROUNDS
from backdrop.contract.parts import DroppingRound
from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb

_FIELD = "selection.early_dropping"
_AFTER = 0.5


def read_dropping(selection: pb.Selection, variants: int, top_k: int, steps: int) -> tuple[DroppingRound, ...]:
    """The rounds in which weaker variants are given up; empty if the request has none, or there is nothing to drop.

    Raises:
        InvalidRequestError: a round keeps too few or too many variants, falls before the first step or after the last,
            or is not later than the one before it; a draft has too few or too many steps, or is not in the first
            round; or there are too many rounds.
    """
    messages = selection.early_dropping
    if len(messages) > MAX_DROPPING_ROUNDS:
        message = f"{_FIELD} has {len(messages)} rounds; at most {MAX_DROPPING_ROUNDS} are possible."
        raise error(Reason.OUT_OF_RANGE, message, field=_FIELD)
    rounds: list[DroppingRound] = []
    for index, each in enumerate(messages):
        field, last = f"{_FIELD}[{index}]", rounds[-1] if rounds else None
        most = last.keep - 1 if last else variants
        if not top_k <= each.keep <= most:
            bound = "less than in the round before" if last else "variants"
            message = f"{field}.keep is {each.keep}; it must be {top_k} (top_k) to {most} ({bound})."
            raise error(Reason.OUT_OF_RANGE, message, field=f"{field}.keep")
        rounds.append(_draft(each, index, steps) if each.HasField("draft_steps") else _round(each, field, last))
    return tuple(each for each in rounds if each.keep < variants) if steps > 1 else ()


def _round(message: pb.EarlyDropping, field: str, last: DroppingRound | None) -> DroppingRound:
    after = message.after if message.HasField("after") else _AFTER
    if not (math.isfinite(after) and (last.after if last else 0.0) < after < 1.0):
        bound = f"{last.after:g} (the round before)" if last else "0.0"
        text = f"{field}.after must be a number above {bound} and below 1.0."
        raise error(Reason.OUT_OF_RANGE, text, field=f"{field}.after")
    return DroppingRound(message.keep, after)


def _draft(message: pb.EarlyDropping, index: int, steps: int) -> DroppingRound:
    field = f"{_FIELD}[{index}]"
    if index > 0:
        text = f"{field}.draft_steps is set, but drafts are scored before the first step: in the first round only."
        raise error(Reason.OUT_OF_RANGE, text, field=f"{field}.draft_steps")
    if message.HasField("after"):
        text = f"{field}.after is set together with draft_steps; drafts are scored before the first step. Leave it out."
        raise error(Reason.OUT_OF_RANGE, text, field=f"{field}.after")
    most = max(1, steps - 1)
    if not 1 <= message.draft_steps <= most:
        text = f"{field}.draft_steps is {message.draft_steps}; it must be 1 to {most} (fewer than steps)."
        raise error(Reason.OUT_OF_RANGE, text, field=f"{field}.draft_steps")
    return DroppingRound(message.keep, draft_steps=message.draft_steps)
