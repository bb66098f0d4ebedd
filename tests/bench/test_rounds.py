"""Interleaved rounds: the order of arms, ratios round by round, percentiles."""

from __future__ import annotations

import asyncio

import pytest

from bench.performance.arms import Made
from bench.performance.rounds import Ratio, percentile, ratio, seconds, together
from bench.performance.workload import Order, orders


class FakeArm:
    """Takes as long as it is told, and remembers its turn."""

    def __init__(self, name: str, log: list[str], takes_s: float = 0.0) -> None:
        self.name, self._log, self._takes_s = name, log, takes_s

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def make(self, order: Order) -> Made:
        self._log.append(f"{self.name}{order.number}")
        await asyncio.sleep(self._takes_s)
        return Made(self._takes_s)


async def test_arms_take_turns_and_the_first_changes() -> None:
    log: list[str] = []
    arms = [FakeArm(name, log) for name in "abc"]
    found = await seconds(arms, lambda number: orders(1, first=number), rounds=2)
    assert log == ["a0", "b0", "c0", "b1", "c1", "a1", "c2", "a2", "b2"]
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2, "c": 2}, "the first is not counted"


async def test_orders_of_a_round_go_out_together() -> None:
    taken, made = await together(FakeArm("a", [], 0.05), orders(10))
    assert len(made) == 10
    assert taken < 0.4, "one after another they would take half a second"


def test_a_ratio_is_taken_round_by_round() -> None:
    found = ratio({"a": [2.0, 4.0, 9.0], "b": [1.0, 4.0, 3.0]}, "a", "b")
    assert found == Ratio((2.0, 1.0, 3.0))
    assert found.median == 2.0
    assert found.spread == "1.00–3.00 over 3 rounds"


@pytest.mark.parametrize(("percent", "expected"), [(50, 5), (95, 10), (100, 10), (1, 1), (90, 9)])
def test_percentiles_are_values_that_were_measured(percent: float, expected: int) -> None:
    assert percentile(list(range(10, 0, -1)), percent) == expected


def test_no_two_orders_share_a_photo_or_a_seed() -> None:
    some = orders(300)
    assert len({order.photo() for order in some}) == len({order.seed for order in some}) == 300
    assert some[3].photo() == Order(3).photo()
