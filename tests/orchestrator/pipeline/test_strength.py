"""A trajectory that begins at the known picture: which steps are taken, what they cost, and what comes out."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from backdrop.contract.parts import DroppingRound, Sampling, Selection, row_steps, sequential_steps

SAMPLING = Sampling("small", seed=1, scheduler="ddim", steps=10, guidance_scale=3.0)


@pytest.mark.parametrize(("strength", "first"), [(1.0, 0), (0.85, 2), (0.5, 5), (0.3, 7), (0.01, 9), (0.0, 9)])
def test_the_first_step_is_that_of_diffusers_img2img(strength: float, first: int) -> None:
    assert dataclasses.replace(SAMPLING, strength=strength).first(10) == first


def rows(sampling: Sampling, *, variants: int, dropping: Sequence[DroppingRound] = ()) -> int:
    return row_steps(sampling, Selection(variants, 1, tuple(dropping)))


def test_skipped_steps_cost_nothing() -> None:
    half = dataclasses.replace(SAMPLING, strength=0.5)
    assert (rows(SAMPLING, variants=2), rows(half, variants=2)) == (40, 20)
    assert sequential_steps(half, Selection(2, 1, ())) == 5


def test_a_round_comes_after_at_least_one_step_that_is_taken() -> None:
    late = dataclasses.replace(SAMPLING, strength=0.3)
    selection = Selection(4, 1, (DroppingRound(1, after=0.2),))
    assert selection.rounds(10, late.first(10)) == {8: 1}
    assert row_steps(late, selection) == 2 * (4 * 1 + 1 * 2)


def test_drafts_skip_their_part_too() -> None:
    half = dataclasses.replace(SAMPLING, strength=0.5)
    selection = Selection(2, 1, (DroppingRound(1, draft_steps=4),))
    assert row_steps(half, selection) == 2 * (2 * 2 + 5)
    assert sequential_steps(half, selection) == 2 + 5


def test_rows_is_an_exact_sum() -> None:
    strengths = np.linspace(0, 1, 21)
    for strength in strengths:
        sampling = dataclasses.replace(SAMPLING, strength=float(strength))
        assert sampling.rows(10) == 2 * (10 - sampling.first(10))
