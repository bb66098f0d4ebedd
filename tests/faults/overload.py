"""More requests than a site can serve: how many are still served, and how fast the others are refused."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import backdrop
from bench.load import percentile, poisson_arrivals
from tests.faults.load import callers, options
from tests.faults.site import Site

MAX_RUNNING = 8
SETTINGS = {"BACKDROP_MAX_RUNNING": str(MAX_RUNNING), "BACKDROP_MAX_QUEUED": "16"}
FACTOR = 3.0


@dataclasses.dataclass(frozen=True)
class OverloadReport:
    """What open-loop arrivals at `FACTOR` × capacity did.

    Attributes:
        peak: pictures a second when callers wait for each other.
        goodput: pictures a second under overload, while requests arrive.
        refused_ms: milliseconds of each refusal.
        failed: errors that are no refusal.
        silent: refusals that do not say when to come back.
    """

    peak: float
    goodput: float
    refused_ms: tuple[float, ...]
    failed: list[str]
    silent: int

    @property
    def share(self) -> float:
        """Goodput ÷ peak."""
        return self.goodput / self.peak

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of the refusals."""
        return percentile(self.refused_ms, 0.99)


async def overload(site: Site, seconds: float) -> OverloadReport:
    """Measures the peak with as many callers as may run at once, then sends Poisson arrivals for `seconds`."""
    peak = await _peak(site, max(3.0, seconds / 10))
    refused, failed, finished, silent = list[float](), list[str](), list[float](), 0
    rate = FACTOR * peak
    arrivals = poisson_arrivals(rate, round(rate * seconds), 1)
    async with backdrop.AsyncClient(site.endpoints[0], retries=0) as client:
        await client.info()
        start = time.monotonic()

        async def one(number: int, due_s: float) -> None:
            nonlocal silent
            await asyncio.sleep(max(0.0, start + due_s - time.monotonic()))
            began = time.monotonic()
            try:
                await client.generate(backdrop.TextToImage(), **options(number))
            except backdrop.OverloadedError as problem:
                refused.append(1000 * (time.monotonic() - began))
                silent += problem.retry_after_s is None
            except backdrop.BackdropError as problem:
                failed.append(f"{problem.reason}: {problem}")
            else:
                finished.append(time.monotonic() - start)

        await asyncio.gather(*(one(number, due_s) for number, due_s in enumerate(arrivals)))
    # The queue is empty at first and served after the last arrival: neither belongs to the overload.
    in_time = [moment for moment in finished if seconds / 10 <= moment <= arrivals[-1]]
    goodput = len(in_time) / (arrivals[-1] - seconds / 10)
    return OverloadReport(peak, goodput, tuple(refused), failed, silent)


async def _peak(site: Site, seconds: float) -> float:
    async with callers(site.endpoints, MAX_RUNNING) as tally:
        await asyncio.sleep(1.0)
        before, began = tally.made, time.monotonic()
        await asyncio.sleep(seconds)
        made, took_s = tally.made - before, time.monotonic() - began
    return made / took_s
