"""How many rows are best together, and when a batch is queued behind another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.scheduling.batch_sizing import BatchSizing, for_latency, for_throughput

NEAR, SUB = (4.8, 20.0), (39.8, 2.5)
"""Milliseconds of a batch and of each of its rows: a GPU that is full with one request, and one that is not."""


def line(base: float, row: float) -> Callable[[int], float]:
    return lambda rows: base + row * rows


def size(sizing: BatchSizing, most: int = 64) -> int:
    """Rows of a batch of calls of two rows each."""
    rows = 2
    while rows + 2 <= most and sizing.grows(rows, rows + 2):
        rows += 2
    return rows


@pytest.mark.parametrize(
    ("cost", "present", "best"),
    [
        # Rows that cost nothing but themselves: one request after another, however many wait.
        ((0.0, 20.0), 64, 2),
        (NEAR, 4, 2),
        # Rows that cost next to nothing: all of them together.
        (SUB, 4, 4),
        (SUB, 16, 16),
        # In between it is √(2 · present · base ÷ row).
        ((10.0, 10.0), 32, 8),
        ((10.0, 10.0), 8, 4),
    ],
)
def test_the_mean_request_is_done_soonest(cost: tuple[float, float], present: int, best: int) -> None:
    assert size(for_latency(line(*cost), present, 64, 4.0)) == best


@pytest.mark.parametrize(("cost", "present", "follows"), [(NEAR, 4, False), ((0.0, 20.0), 16, True), (SUB, 8, False)])
def test_few_wait_for_those_who_come_back(cost: tuple[float, float], present: int, follows: bool) -> None:
    sizing = for_latency(line(*cost), present, 16, 4.0)
    assert sizing.follows(size(sizing)) is follows


def test_a_batch_that_could_be_larger_is_not_queued() -> None:
    sizing = for_latency(line(*SUB), 60, 16, 4.0)
    assert not sizing.follows(2)


@pytest.mark.parametrize(
    ("cost", "present", "best", "follows"),
    [
        # As few as hold them, of one size: 12 and 12 rather than 16 and 8.
        (SUB, 24, 12, True),
        (NEAR, 40, 14, True),
        # Two halves take turns where halving costs less than the gap.
        (NEAR, 8, 8, False),
        ((1.0, 20.0), 8, 4, True),
        (SUB, 16, 16, False),
    ],
)
def test_most_rows_are_done_in_a_second(cost: tuple[float, float], present: int, best: int, follows: bool) -> None:
    sizing = for_throughput(line(*cost), present, 16, 4.0)
    assert (size(sizing), sizing.follows(best)) == (best, follows)


@pytest.mark.parametrize("aim", [for_latency, for_throughput])
def test_the_models_bound_is_kept(aim: Callable[..., BatchSizing]) -> None:
    assert size(aim(line(*SUB), 60, 8, 4.0)) <= 8


def test_while_nothing_is_known_nothing_is_better() -> None:
    sizing = for_latency(lambda rows: float("inf"), 64, 16, 4.0)
    assert size(sizing) == 2
    assert not sizing.follows(2)
