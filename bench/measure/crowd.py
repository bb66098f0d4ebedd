"""One request among others: its least latency under load, how soon it joins in, what short jobs lose to long ones."""

from __future__ import annotations

import collections
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from backdrop import Stage, StageStarted, StepProgress
from bench.arms.pool import ArmPool
from bench.arms.running import running
from bench.arms.served import BackdropArm
from bench.figures import Figure, at_most, reported
from bench.load import closed_loop, open_loop, percentile, poisson_arrivals, solo_s
from bench.measure.base import Measurement, median_figure
from bench.requests import BenchRequest, RequestSource, requests
from bench.rounds import ratios

Urgency = Literal["plain", "interactive"]
URGENCIES: tuple[Urgency, ...] = ("plain", "interactive")


@dataclass(frozen=True)
class LeastSettings:
    """Steps of a request, requests, and their rate in units of 1 ÷ solo latency."""

    steps: int
    requests: int
    load: float


@dataclass(frozen=True)
class LeastRound:
    """Seconds of a lone request, and the least and median seconds under load."""

    solo_s: float
    least_s: float
    median_s: float


async def measure_least(pool: ArmPool, number: int, settings: LeastSettings) -> LeastRound:
    """Solo latency, then the least latency under Poisson arrivals at a share of what the cluster can do."""
    arm = await pool.backdrop()
    source = requests("least", number)
    alone_s = await solo_s(arm.generate, source.take(3, steps=settings.steps))
    batch = source.take(settings.requests, steps=settings.steps)
    arrivals = poisson_arrivals(settings.load / alone_s, len(batch), seed=number)
    result = await open_loop(arm.generate, batch, arrivals)
    return LeastRound(alone_s, min(result.latencies_s), statistics.median(result.latencies_s))


def least_figures(rounds: Sequence[LeastRound], settings: LeastSettings) -> list[Figure]:
    """Least over solo."""
    values = ratios([one.least_s for one in rounds], [one.solo_s for one in rounds])
    note = f"Poisson arrivals at {settings.load} of 1 ÷ solo latency"
    return [median_figure("minimum latency under load ÷ solo latency", values, at_most(1.2), "least", note)]


@dataclass(frozen=True)
class JoinSettings:
    """Requests that run already, and requests that join them one after another."""

    others: int
    joiners: int


@dataclass(frozen=True)
class JoinRound:
    """By joiner, the steps that the others took until its first one, its own step not counted."""

    delays: tuple[float, ...]


async def measure_join(pool: ArmPool, number: int, settings: JoinSettings) -> JoinRound:
    """Steps of the others between the start of a new request's denoising and its first step."""
    arm = await pool.backdrop()
    source = requests("join", number)
    others = source.take(settings.others, steps=100)
    delays = []
    async with running(arm, others) as steps:
        for request in source.take(settings.joiners, steps=2):
            before: collections.Counter[int] | None = None
            async with arm.client.generate(request.task, **request.options) as generation:
                async for event in generation:
                    if isinstance(event, StageStarted) and event.stage is Stage.DENOISE:
                        before = steps.of.copy()
                    if isinstance(event, StepProgress) and before is not None:
                        taken = [steps.of[key] - before[key] for key in range(len(others))]
                        delays.append(max(0.0, statistics.median(taken) - 1))
                        break
    return JoinRound(tuple(delays))


def join_figures(rounds: Sequence[JoinRound], settings: JoinSettings) -> list[Figure]:
    """The median join delay of a round."""
    values = [statistics.median(one.delays) for one in rounds]
    note = f"into {settings.others} running requests; worst {max(max(one.delays) for one in rounds):g}"
    name = "join delay of a new request, in steps of the others"
    return [median_figure(name, values, at_most(1), "join", note)]


@dataclass(frozen=True)
class ShortSettings:
    """Steps of the short jobs, long jobs that run meanwhile, and short jobs of each kind."""

    steps: int
    long: int
    requests: int


@dataclass(frozen=True)
class ShortLatency:
    """P95 seconds of short jobs, alone and while long ones run."""

    alone_s: float
    among_s: float


@dataclass(frozen=True)
class ShortRound:
    """By urgency of the short jobs."""

    p95: dict[Urgency, ShortLatency]


async def measure_short(pool: ArmPool, number: int, settings: ShortSettings) -> ShortRound:
    """P95 latency of short jobs, one after another: alone, and while 50-step jobs run."""
    arm, source = await pool.backdrop(), requests("short", number)
    return ShortRound({urgency: await _short(arm, source, urgency, settings) for urgency in URGENCIES})


async def _short(arm: BackdropArm, source: RequestSource, urgency: Urgency, settings: ShortSettings) -> ShortLatency:
    async def generate(request: BenchRequest) -> None:
        stated: dict[str, Any] = {"priority": urgency} if urgency == "interactive" else {}
        await arm.client.generate(request.task, **request.options, **stated)

    alone = await closed_loop(generate, source.take(settings.requests, steps=settings.steps), 1)
    async with running(arm, source.take(settings.long, steps=50)):
        among = await closed_loop(generate, source.take(settings.requests, steps=settings.steps), 1)
    return ShortLatency(percentile(alone.latencies_s, 0.95), percentile(among.latencies_s, 0.95))


def short_figures(rounds: Sequence[ShortRound], settings: ShortSettings) -> list[Figure]:
    """Among over alone; the mark is for urgent jobs."""
    result = []
    for urgency, mark in (("plain", reported("lower")), ("interactive", at_most(1.5))):
        pairs = [one.p95[urgency] for one in rounds if urgency in one.p95]
        usable = [pair for pair in pairs if math.isfinite(pair.among_s)]
        values = ratios([pair.among_s for pair in usable], [pair.alone_s for pair in usable])
        name = f"P95 of 4-step jobs while 50-step jobs run ÷ alone, {urgency}"
        result.append(median_figure(name, values, mark, "short", f"{settings.long} jobs of 50 steps run"))
    return result


LEAST = Measurement(
    "least", LeastSettings(20, 16, 0.7), LeastSettings(8, 8, 0.7), LeastRound, measure_least, least_figures
)
JOIN = Measurement("join", JoinSettings(4, 6), JoinSettings(3, 3), JoinRound, measure_join, join_figures)
SHORT = Measurement("short", ShortSettings(4, 4, 12), ShortSettings(4, 2, 4), ShortRound, measure_short, short_figures)
