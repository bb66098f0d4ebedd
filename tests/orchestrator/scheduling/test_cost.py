"""The cost of batches, learned from their durations."""

from __future__ import annotations

import math

import pytest

from orchestrator.scheduling.cost import BatchCost


def learned(base_s: float, row_s: float, sizes: tuple[int, ...] = (2, 4, 8)) -> BatchCost:
    cost = BatchCost()
    for rows in sizes:
        cost.record(rows, base_s + row_s * rows)
    return cost


def test_the_line_is_found() -> None:
    cost = learned(0.005, 0.02)
    assert [cost.seconds(rows) for rows in (1, 6, 16)] == pytest.approx([0.025, 0.125, 0.325])


def test_while_nothing_was_seen_it_is_not_known() -> None:
    cost = BatchCost()
    assert cost.seconds(2) == math.inf


def test_while_one_size_has_run_more_rows_cost_nothing() -> None:
    cost = learned(0.04, 0.0, sizes=(2,))
    assert cost.seconds(16) == 0.04


def test_one_slow_batch_changes_nothing() -> None:
    cost = BatchCost()
    cost.record(2, 3.0)  # the graph's first run
    for _ in range(4):
        cost.record(2, 0.05)
        cost.record(4, 0.09)
    assert cost.seconds(2) == pytest.approx(0.05)


def test_a_size_that_was_not_seen_for_long_is_tried_again() -> None:
    cost = learned(0.0, 0.02)
    assert cost.seconds(4) == pytest.approx(0.08)
    for _ in range(128):
        cost.record(2, 0.04)
    assert cost.seconds(4) == pytest.approx(0.04)


@pytest.mark.parametrize(("seconds", "line"), [((0.05, 0.04), (0.045, 0.0)), ((0.01, 0.05), (0.0, 0.01))])
def test_noise_makes_no_negative_cost(seconds: tuple[float, float], line: tuple[float, float]) -> None:
    cost = BatchCost()
    for rows, took in zip((2, 4), seconds, strict=True):
        cost.record(rows, took)
    assert cost.seconds(0) == pytest.approx(line[0])
    assert cost.seconds(1) - cost.seconds(0) == pytest.approx(line[1])
