"""Load on an arm: closed loops, open loops with Poisson arrivals, and the arithmetic of their latencies."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.requests import BenchRequest

Generate = Callable[[BenchRequest], Awaitable[Any]]


@dataclass(frozen=True)
class LoadResult:
    """The latency of every request in seconds, in the requests' order; infinite for those that failed."""

    latencies_s: tuple[float, ...]
    wall_s: float

    @property
    def throughput(self) -> float:
        """Finished requests a second."""
        return sum(map(math.isfinite, self.latencies_s)) / self.wall_s


async def closed_loop(generate: Generate, requests: Sequence[BenchRequest], clients: int) -> LoadResult:
    """Lets `clients` send requests, each its next one when its last one is answered, until all are done."""
    latencies, waiting = [math.inf] * len(requests), iter(enumerate(requests))

    async def client() -> None:
        for index, request in waiting:
            latencies[index] = await timed(generate, request, time.perf_counter())

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return LoadResult(tuple(latencies), time.perf_counter() - begin)


async def open_loop(generate: Generate, requests: Sequence[BenchRequest], arrivals_s: Sequence[float]) -> LoadResult:
    """Sends each request at its time, whatever became of the others.

    Latencies count from the time at which a request was due, so that a generator that is late hides nothing.
    """
    begin = time.perf_counter()

    async def send(request: BenchRequest, due_s: float) -> float:
        await asyncio.sleep(max(0.0, begin + due_s - time.perf_counter()))
        return await timed(generate, request, begin + due_s)

    latencies = await asyncio.gather(*map(send, requests, arrivals_s))
    return LoadResult(tuple(latencies), time.perf_counter() - begin)


async def timed(generate: Generate, request: BenchRequest, since: float) -> float:
    """Seconds from `since` (time.perf_counter) until the request is answered; infinite if it fails."""
    try:
        await generate(request)
    except Exception:  # an arm's refusal, of whatever class, is a request that was not served
        return math.inf
    return time.perf_counter() - since


async def solo_s(generate: Generate, requests: Sequence[BenchRequest]) -> float:
    """The median latency of requests that are sent one after another."""
    return statistics.median([await timed(generate, request, time.perf_counter()) for request in requests])


def poisson_arrivals(rate: float, count: int, seed: int) -> list[float]:
    """Arrival times in seconds of a Poisson process of `rate` a second, the same for the same seed."""
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return [float(due) for due in np.cumsum(gaps)]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` (0 to 1) of all values do not exceed.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values have no percentile")
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing: median and range."""

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
