"""The arithmetic of row-steps: what a request costs, what options save, and how many steps follow one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backdrop.contract.parts import (
    DroppingRound,
    OutputFormat,
    Sampling,
    Selection,
    Window,
    row_steps,
    saved_row_steps,
    sequential_steps,
)


def sampling(steps: int = 10, guidance_scale: float = 3.0, window: Window = Window()) -> Sampling:  # noqa: B008 (frozen)
    return Sampling("small", 7, "ddim", steps, guidance_scale, window)


def drafted(*after: DroppingRound, keep: int = 2, draft_steps: int = 3, variants: int = 4) -> Selection:
    return Selection(variants, 1, (DroppingRound(keep, draft_steps=draft_steps), *after))


def dropping(*rounds: tuple[int, float], variants: int = 4) -> Selection:
    return Selection(variants, 1, tuple(DroppingRound(*each) for each in rounds))


@pytest.mark.parametrize(
    ("how", "selection", "rows"),
    [
        (sampling(), Selection(4, 2), 80),
        (sampling(guidance_scale=1.0), Selection(4, 2), 40),
        (sampling(window=Window(0.0, 0.7)), Selection(4, 2), 68),
        (sampling(guidance_scale=1.0, window=Window(0.0, 0.7)), Selection(4, 2), 40),
        (sampling(), dropping((2, 0.5)), 60),
        (sampling(window=Window(0.0, 0.7)), dropping((2, 0.7)), 4 * 14 + 2 * 3),
        (sampling(), dropping((3, 0.4), (2, 0.6)), 2 * (4 * 4 + 3 * 2 + 2 * 4)),
        # As 0.6 comes off the wire: six steps, not seven.
        (sampling(), dropping((2, 0.6000000238418579)), 2 * (4 * 6 + 2 * 4)),
        (sampling(), drafted(), 2 * (4 * 3 + 2 * 10)),
        (sampling(), drafted(DroppingRound(2, 0.6), keep=3), 2 * (4 * 3 + 3 * 6 + 2 * 4)),
        (sampling(window=Window(0.0, 0.5)), drafted(draft_steps=4), 4 * (2 * 2 + 2) + 2 * (2 * 5 + 5)),
        # Both rounds fall on the last step but one.
        (sampling(), dropping((3, 0.95), (2, 0.97)), 2 * (4 * 9 + 2)),
    ],
)
def test_rows_of_a_request(how: Sampling, selection: Selection, rows: int) -> None:
    assert row_steps(how, selection) == rows
    whole = selection.variants * 10 * (2 if how.guided else 1)
    assert saved_row_steps(how, selection) == whole - rows


def test_drafts_that_cost_more_than_they_save_have_saved_nothing() -> None:
    selection = drafted(keep=3)
    assert row_steps(sampling(4), selection) == 2 * (4 * 3 + 3 * 4)
    assert saved_row_steps(sampling(4), selection) == 0


@given(
    steps=st.integers(1, 60), variants=st.integers(1, 16), start=st.floats(0, 0.99), width=st.floats(0.01, 1),
    guidance=st.sampled_from([1.0, 3.0]), after=st.floats(0.01, 0.99), keep=st.integers(1, 16),
)  # fmt: skip
def test_rows_are_the_sum_over_variants_and_steps(
    steps: int, variants: int, start: float, width: float, guidance: float, after: float, keep: int
) -> None:
    how = sampling(steps, guidance, Window(start, min(1.0, start + width)))
    rounds: tuple[DroppingRound, ...] = (DroppingRound(keep, after),) if keep < variants and steps > 1 else ()
    selection = Selection(variants, 1, rounds)
    total = 0
    for variant in range(variants):
        # A variant that is dropped takes the steps before its round.
        stop = steps if not rounds or variant < keep else rounds[0].step(steps)
        total += sum(how.rows_at(step, steps) for step in range(stop))
    assert row_steps(how, selection) == total
    assert 0 <= saved_row_steps(how, selection) == variants * steps * (2 if guidance > 1 else 1) - total


@pytest.mark.parametrize(
    ("after", "steps", "expected"),
    [(0.5, 4, 2), (0.5, 5, 3), (0.01, 10, 1), (0.99, 10, 9), (0.6000000238418579, 20, 12), (0.5, 2, 1)],
)
def test_a_round_falls_between_the_first_step_and_the_last(after: float, steps: int, expected: int) -> None:
    assert DroppingRound(2, after).step(steps) == expected


def test_of_rounds_on_one_step_the_last_counts() -> None:
    assert dropping((3, 0.95), (2, 0.97)).rounds(10) == {9: 2}
    assert drafted(DroppingRound(1, 0.5)).rounds(10) == {5: 1}, "drafts come before the first step"


def test_a_windows_start_is_in_it_and_its_stop_is_not() -> None:
    window = Window(0.25, 0.75)
    assert [step for step in range(8) if window.holds(step, 8)] == [2, 3, 4, 5]
    assert all(Window().holds(step, 8) for step in range(8))


def test_steps_of_a_draft_come_before_the_others() -> None:
    assert sequential_steps(sampling(10), Selection(4, 2)) == 10
    assert sequential_steps(sampling(10), dropping((2, 0.5))) == 10
    assert sequential_steps(sampling(10), drafted()) == 13


@pytest.mark.parametrize(("name", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_formats_have_their_media_types(name: Any, media_type: str) -> None:
    assert OutputFormat(name).media_type == media_type


WHOLE = sampling()


@pytest.mark.parametrize(("strength", "first"), [(1.0, 0), (0.85, 2), (0.5, 5), (0.3, 7), (0.01, 9), (0.0, 10)])
def test_the_first_step_is_that_of_diffusers_img2img(strength: float, first: int) -> None:
    assert dataclasses.replace(WHOLE, strength=strength).first(10) == first


def rows_of(sampling: Sampling, *, variants: int, dropping: Sequence[DroppingRound] = ()) -> int:
    return row_steps(sampling, Selection(variants, 1, tuple(dropping)))


def test_skipped_steps_cost_nothing() -> None:
    half = dataclasses.replace(WHOLE, strength=0.5)
    assert (rows_of(WHOLE, variants=2), rows_of(half, variants=2)) == (40, 20)
    assert sequential_steps(half, Selection(2, 1, ())) == 5


def test_a_round_comes_after_at_least_one_step_that_is_taken() -> None:
    late = dataclasses.replace(WHOLE, strength=0.3)
    selection = Selection(4, 1, (DroppingRound(1, after=0.2),))
    assert selection.rounds(10, late.first(10)) == {8: 1}
    assert row_steps(late, selection) == 2 * (4 * 1 + 1 * 2)


def test_without_a_step_nothing_is_dropped_and_nothing_costs() -> None:
    still = dataclasses.replace(WHOLE, strength=0.0)
    selection = Selection(4, 1, (DroppingRound(1, after=0.2),))
    assert selection.rounds(10, still.first(10)) == {}
    assert (row_steps(still, selection), sequential_steps(still, selection)) == (0, 0)


def test_drafts_skip_their_part_too() -> None:
    half = dataclasses.replace(WHOLE, strength=0.5)
    selection = Selection(2, 1, (DroppingRound(1, draft_steps=4),))
    assert row_steps(half, selection) == 2 * (2 * 2 + 5)
    assert sequential_steps(half, selection) == 2 + 5


def test_rows_is_an_exact_sum() -> None:
    strengths = np.linspace(0, 1, 21)
    for strength in strengths:
        sampling = dataclasses.replace(WHOLE, strength=float(strength))
        assert sampling.rows(10) == 2 * (10 - sampling.first(10))
