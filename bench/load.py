"""Load on an arm: closed loops, open loops with Poisson arrivals, and the arithmetic of what they measure."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.orders import Order

Generate = Callable[[Order], Awaitable[Any]]


@dataclass(frozen=True)
class Run:
    """What a load met: the latency of every order in seconds, in their order, infinite for those that failed."""

    latencies_s: tuple[float, ...]
    wall_s: float

    @property
    def throughput(self) -> float:
        """Finished orders a second."""
        return sum(map(math.isfinite, self.latencies_s)) / self.wall_s


async def closed_loop(generate: Generate, orders: Sequence[Order], clients: int) -> Run:
    """Lets `clients` send orders, each its next as soon as its last is answered, until all are done."""
    latencies, waiting = [math.inf] * len(orders), iter(enumerate(orders))

    async def client() -> None:
        for index, order in waiting:
            latencies[index] = await timed(generate, order, time.perf_counter())

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return Run(tuple(latencies), time.perf_counter() - begin)


async def open_loop(generate: Generate, orders: Sequence[Order], arrivals_s: Sequence[float]) -> Run:
    """Sends each order at its time, whatever became of the others.

    Latencies count from the time at which an order was due, so that a generator that is late hides nothing.
    """
    begin = time.perf_counter()

    async def one(order: Order, due_s: float) -> float:
        await asyncio.sleep(max(0.0, begin + due_s - time.perf_counter()))
        return await timed(generate, order, begin + due_s)

    latencies = await asyncio.gather(*map(one, orders, arrivals_s))
    return Run(tuple(latencies), time.perf_counter() - begin)


async def timed(generate: Generate, order: Order, since: float) -> float:
    """Seconds from `since` (time.perf_counter) until the order is answered; infinite if it fails."""
    try:
        await generate(order)
    except Exception:  # an arm's refusal, of whatever class, is an order that was not served
        return math.inf
    return time.perf_counter() - since


def poisson_arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Arrival times in seconds of a Poisson process of `rate` a second, the same for the same seed."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return [float(due) for due in np.cumsum(gaps)]


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` (0 to 1) of all values do not exceed: the nearest-rank percentile.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def goodput(latencies_s: Sequence[float], limit_s: float) -> float:
    """The share of orders that were answered within `limit_s`."""
    return sum(latency <= limit_s for latency in latencies_s) / len(latencies_s)


def highest_rate(shares: Mapping[float, float], wanted: float = 0.9) -> float:
    """The highest rate of which, and of all lower ones, the share of good answers reaches `wanted`; else 0.

    Between two rates of the sweep it is interpolated: a grid's steps are too coarse for a ratio of two arms.
    """
    best, share_there = 0.0, 1.0
    for rate, share in sorted(shares.items()):
        if share < wanted:
            return best + (rate - best) * (share_there - wanted) / (share_there - share)
        best, share_there = rate, share
    return best


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing: median, least and most."""

    median: float
    least: float
    most: float
    count: int

    def __str__(self) -> str:
        return f"{self.least:.3g}–{self.most:.3g} over {self.count} rounds"


def spread(values: Sequence[float]) -> Spread:
    """Median and range.

    Raises:
        StatisticsError: there are no values.
    """
    return Spread(statistics.median(values), min(values), max(values), len(values))
