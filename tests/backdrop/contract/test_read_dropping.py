"""Rounds of early dropping: read in order, and refused where they could not take place."""

from __future__ import annotations

from typing import Any

import pytest

from backdrop.contract.parts import DroppingRound
from backdrop.contract.read_dropping import read_dropping
from backdrop.errors import InvalidRequestError, Reason
from backdrop.v1 import generation_service_pb2 as pb

FIELD = "selection.early_dropping"


def rounds(*fields: dict[str, Any], variants: int = 8, top_k: int = 1, steps: int = 10) -> tuple[DroppingRound, ...]:
    selection = pb.Selection(early_dropping=[pb.EarlyDropping(**each) for each in fields])
    return read_dropping(selection, variants, top_k, steps)


def test_without_rounds_every_variant_is_finished() -> None:
    assert rounds() == ()


def test_rounds_are_read_in_their_order() -> None:
    assert rounds({"keep": 4}) == (DroppingRound(4, 0.5),), "half-way by default"
    assert rounds({"keep": 4, "after": 0.25}, {"keep": 2, "after": 0.75}) == (
        DroppingRound(4, 0.25),
        DroppingRound(2, 0.75),
    )
    assert rounds({"keep": 4, "draft_steps": 3}, {"keep": 2}) == (
        DroppingRound(4, draft_steps=3),
        DroppingRound(2, 0.5),
    )


def test_a_round_that_keeps_all_is_none() -> None:
    assert rounds({"keep": 8}) == ()
    assert rounds({"keep": 8, "after": 0.25}, {"keep": 2, "after": 0.5}) == (DroppingRound(2, 0.5),)


def test_in_one_step_there_is_nothing_to_drop_before() -> None:
    assert rounds({"keep": 4}, steps=1) == ()
    assert rounds({"keep": 4, "draft_steps": 1}, steps=1) == ()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ([{"keep": 9}], "[0].keep"),
        ([{"keep": 1}], "[0].keep"),
        ([{}], "[0].keep"),
        ([{"keep": 4}, {"keep": 4, "after": 0.7}], "[1].keep"),
        ([{"keep": 4, "after": 0.0}], "[0].after"),
        ([{"keep": 4, "after": 1.0}], "[0].after"),
        ([{"keep": 4, "after": float("nan")}], "[0].after"),
        ([{"keep": 4, "after": 0.5}, {"keep": 3, "after": 0.5}], "[1].after"),
        ([{"keep": 4, "draft_steps": 0}], "[0].draft_steps"),
        ([{"keep": 4, "draft_steps": 10}], "[0].draft_steps"),
        ([{"keep": 4}, {"keep": 3, "draft_steps": 2}], "[1].draft_steps"),
        ([{"keep": 4, "draft_steps": 2, "after": 0.5}], "[0].after"),
        ([{"keep": 8}] * 9, ""),
    ],
)
def test_impossible_rounds_are_refused_by_their_place(fields: list[dict[str, Any]], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        rounds(*fields, top_k=2)
    assert (caught.value.reason, caught.value.field) == (Reason.OUT_OF_RANGE, FIELD + field)
    assert caught.value.message.endswith(".")


def test_drafts_have_fewer_steps_than_the_whole() -> None:
    assert rounds({"keep": 4, "draft_steps": 9}) == (DroppingRound(4, draft_steps=9),)
