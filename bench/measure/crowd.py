"""One request among others: how fast it can be under load, how soon it joins in, what short jobs lose to long ones."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import inspect
import itertools
import math
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from backdrop import AsyncClient, StageStarted, StepProgress
from backdrop import Stage as StageName
from bench.arms.company import Company
from bench.arms.served import BackdropArm, fields
from bench.figures import Figure
from bench.load import closed_loop, open_loop, percentile, poisson_arrivals, timed
from bench.measure.base import Measurement, figure
from bench.orders import Order, numbered
from bench.rounds import Round, ratios

# Whether this SDK lets a caller say how urgent a request is.
PRIORITIES = "priority" in inspect.signature(AsyncClient.generate).parameters


async def measure_least(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Solo latency, then the least latency under Poisson arrivals at a share of what the cluster can do."""
    arm = await company.backdrop()
    first, steps = 300_000 + 1000 * number, settings["steps"]
    alone = [await timed(arm.generate, numbered(first + 900 + i, steps=steps), time.perf_counter()) for i in range(3)]
    solo = statistics.median(alone)
    orders = [numbered(first + index, steps=steps) for index in range(settings["orders"])]
    rate = settings["load"] / solo
    run = await open_loop(arm.generate, orders, poisson_arrivals(rate, len(orders), seed=number))
    return {"solo_s": solo, "least_s": min(run.latencies_s), "median_s": statistics.median(run.latencies_s)}


def least_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Least over solo."""
    found = ratios(rounds, ["least_s"], ["solo_s"])
    what = f"Poisson arrivals at {settings['load']} of 1 ÷ solo latency"
    return [figure("minimum latency under load ÷ solo latency", found, 1.2, "lower", "least", what)]


class Steps:
    """Counts the steps of running generations as their events arrive."""

    def __init__(self) -> None:
        self.of: collections.Counter[int] = collections.Counter()

    async def follow(self, arm: BackdropArm, key: int, order: Order) -> None:
        """Runs an order, and others like it after it, and counts their steps under `key`."""
        for seed in itertools.count(order.seed):
            again = dataclasses.replace(order, seed=seed)
            async with arm.client.generate(again.product_file, **fields(again)) as generation:
                async for event in generation:
                    self.of[key] += isinstance(event, StepProgress)


@contextlib.asynccontextmanager
async def running(arm: BackdropArm, orders: Sequence[Order], begun: int | None = None) -> AsyncIterator[Steps]:
    """Keeps so many requests running; cancels them at the end.

    Args:
        arm: what makes them.
        orders: one for each.
        begun: how many are past their first steps when the block begins; the others may wait. None = all.

    Raises:
        Exception: what one of them failed with, before all had begun.
    """
    steps = Steps()
    tasks = [asyncio.create_task(steps.follow(arm, key, order)) for key, order in enumerate(orders)]
    try:
        while sum(steps.of[key] >= 2 for key in range(len(orders))) < (len(orders) if begun is None else begun):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)
        yield steps
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure_join(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Steps that the others take from when a new request wants its first step until it has taken it, its own apart."""
    arm = await company.backdrop()
    first = 400_000 + 1000 * number
    others = [numbered(first + 900 + index, steps=100) for index in range(settings["others"])]
    delays = []
    async with running(arm, others) as steps:
        for index in range(settings["joiners"]):
            order = numbered(first + index, steps=2)
            before: collections.Counter[int] | None = None
            async with arm.client.generate(order.product_file, **fields(order)) as generation:
                async for event in generation:
                    if isinstance(event, StageStarted) and event.stage is StageName.DENOISE:
                        before = steps.of.copy()
                    if isinstance(event, StepProgress) and before is not None:
                        taken = [steps.of[key] - before[key] for key in range(len(others))]
                        delays.append(max(0.0, statistics.median(taken) - 1))
                        break
    return {"delays": delays}


def join_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """The median join delay of a round."""
    found = [statistics.median(one["delays"]) for one in rounds]
    what = f"into {settings['others']} running requests; worst {max(max(one['delays']) for one in rounds):g}"
    return [figure("join delay of a new request, in steps of the others", found, 1, "lower", "join", what)]


async def measure_short(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """P95 latency of 4-step jobs, one after another: alone, and while 50-step jobs run."""
    arm = await company.backdrop()
    first = 500_000 + 1000 * number
    short = settings["short"]
    found: dict[str, float] = {}
    for kind, urgency in _urgencies():
        orders = [numbered(first + index, **short) for index in range(2 * settings["orders"])]

        async def generate(order: Order, urgency: Mapping[str, Any] = urgency) -> None:
            await arm.client.generate(order.product_file, **fields(order), **urgency)

        half = settings["orders"]
        alone = await closed_loop(generate, orders[:half], 1)
        long = [numbered(first + 900 + index, steps=50) for index in range(settings["long"])]
        async with running(arm, long):
            among = await closed_loop(generate, orders[half:], 1)
        found[f"{kind} alone"] = percentile(alone.latencies_s, 0.95)
        found[f"{kind} among"] = percentile(among.latencies_s, 0.95)
        first += 500
    return found


def _urgencies() -> list[tuple[str, dict[str, Any]]]:
    """Jobs of no stated urgency, and urgent ones where the SDK can say so."""
    plain: list[tuple[str, dict[str, Any]]] = [("plain", {})]
    return [*plain, ("interactive", {"priority": "interactive"})] if PRIORITIES else plain


def short_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Among over alone; the mark is for urgent jobs where there is urgency."""
    made = []
    kinds = [name.removesuffix(" among") for name in rounds[-1] if name.endswith(" among")]
    for kind in kinds:
        usable = [one for one in rounds if math.isfinite(one.get(f"{kind} among", math.inf))]
        found = ratios(usable, [f"{kind} among"], [f"{kind} alone"])
        name = f"P95 of 4-step jobs while 50-step jobs run ÷ alone, {kind}"
        what = f"{settings['long']} jobs of 50 steps run"
        made.append(figure(name, found, 1.5 if kind == kinds[-1] else None, "lower", "short", what))
    return made


LEAST = Measurement(
    "least", {"steps": 20, "orders": 16, "load": 0.7}, {"steps": 8, "orders": 8, "load": 0.7}, measure_least,
    least_figures,
)  # fmt: skip
JOIN = Measurement("join", {"others": 4, "joiners": 6}, {"others": 3, "joiners": 3}, measure_join, join_figures)
SHORT = Measurement(
    "short",
    {"short": {"steps": 4}, "long": 4, "orders": 12},
    {"short": {"steps": 4}, "long": 2, "orders": 4},
    measure_short,
    short_figures,
)
