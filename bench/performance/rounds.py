"""Interleaved rounds: every arm does the same in each round, so that all of them meet the same machine."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

from bench.performance.arms import Arm, Made
from bench.performance.workload import Order

ROUNDS = 5


@dataclasses.dataclass(frozen=True)
class Ratio:
    """One value measured in every round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """From the least to the most, in words."""
        return f"{min(self.values):.2f}–{max(self.values):.2f} over {len(self.values)} rounds"


async def together(arm: Arm, orders: Sequence[Order]) -> tuple[float, list[Made]]:
    """Gives an arm all orders at once; returns the seconds until the last picture, and what became of each."""
    began = time.perf_counter()
    made = await asyncio.gather(*(arm.make(order) for order in orders))
    return time.perf_counter() - began, list(made)


async def seconds(
    arms: Sequence[Arm], orders: Callable[[int], Sequence[Order]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """How long each arm takes for a round's orders, round by round; the first arm of a round changes every time.

    Args:
        arms: All of them started.
        orders: The orders of a round; others in each, so that nothing is a repetition.
        rounds: How many; a round before the first is not counted, in which everything is loaded.
    """
    found: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for number in range(rounds + 1):
        for place in range(len(arms)):
            arm = arms[(place + number) % len(arms)]
            taken, _ = await together(arm, orders(number))
            if number:
                found[arm.name].append(taken)
    return found


def ratio(found: dict[str, list[float]], numerator: str, denominator: str) -> Ratio:
    """One arm's seconds by another's, round by round."""
    return Ratio(tuple(a / b for a, b in zip(found[numerator], found[denominator], strict=True)))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
