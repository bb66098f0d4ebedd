"""Requests of different lengths, and many at once: how much longer than alone each takes, by arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.arms.pool import ArmPool
from bench.figures import Figure, reported
from bench.goodput import ARMS
from bench.load import open_loop, percentile, poisson_arrivals
from bench.measure.base import Measurement, median_figure
from bench.measure.sweep import solo_by_steps
from bench.requests import requests
from bench.rounds import ratios


@dataclass(frozen=True)
class MixedSettings:
    """Lengths of requests, how many there are, and their rate in units of 1 ÷ mean solo latency."""

    steps: tuple[int, ...]
    requests: int
    load: float


@dataclass(frozen=True)
class Slowdowns:
    """Latencies over solo latencies: median, 95th percentile, and the worst of the shortest requests."""

    p50: float
    p95: float
    short: float


@dataclass(frozen=True)
class MixedRound:
    """By arm."""

    slowdowns: dict[str, Slowdowns]


async def measure_mixed(pool: ArmPool, number: int, settings: MixedSettings) -> MixedRound:
    """Poisson arrivals of mixed lengths; slowdowns over the faster arm's solo latency for the length."""
    arms = {name: await pool.get(name) for name in ARMS}
    source = requests("mixed", number)
    lengths = [int(each) for each in np.random.default_rng(number).choice(settings.steps, settings.requests)]
    alone = [await solo_by_steps(arm, lengths, source) for arm in arms.values()]
    floor = {steps: min(one[steps] for one in alone) for steps in alone[0]}
    rate = settings.load / statistics.mean(floor[steps] for steps in lengths)
    arrivals = poisson_arrivals(rate, len(lengths), seed=number)
    batch = [source.next(steps=steps) for steps in lengths]
    result = {}
    for name, arm in arms.items():
        latencies_s = (await open_loop(arm.generate, batch, arrivals)).latencies_s
        slowdowns = [latency / floor[one.steps] for latency, one in zip(latencies_s, batch, strict=True)]
        short = [value for value, one in zip(slowdowns, batch, strict=True) if one.steps == min(floor)]
        result[name] = Slowdowns(percentile(slowdowns, 0.5), percentile(slowdowns, 0.95), max(short))
    return MixedRound(result)


def mixed_figures(rounds: Sequence[MixedRound], settings: MixedSettings) -> list[Figure]:
    """Slowdowns of the cluster over the monolith's."""
    note = f"steps of {list(settings.steps)}, Poisson at a load of {settings.load}"
    names = {"p50": "median slowdown", "p95": "P95 slowdown", "short": "worst slowdown of the shortest requests"}
    pairs = {key: [_pair(one.slowdowns, key) for one in rounds] for key in names}
    return [_over(pairs[key], f"mixed lengths: {name}", "mixed", note) for key, name in names.items()]


@dataclass(frozen=True)
class BurstSettings:
    """Steps of a request, and requests that come at once."""

    steps: int
    requests: int


@dataclass(frozen=True)
class AnswerTimes:
    """Seconds until the first, the median and the last request is answered."""

    first: float
    median: float
    last: float


@dataclass(frozen=True)
class BurstRound:
    """By arm."""

    answered: dict[str, AnswerTimes]


async def measure_burst(pool: ArmPool, number: int, settings: BurstSettings) -> BurstRound:
    """Some requests in the same moment."""
    batch = requests("burst", number).take(settings.requests, steps=settings.steps)
    answered = {}
    for name in ARMS:
        arm = await pool.get(name)
        latencies_s = sorted((await open_loop(arm.generate, batch, [0.0] * len(batch))).latencies_s)
        answered[name] = AnswerTimes(latencies_s[0], statistics.median(latencies_s), latencies_s[-1])
    return BurstRound(answered)


def burst_figures(rounds: Sequence[BurstRound], settings: BurstSettings) -> list[Figure]:
    """Times of the cluster over the monolith's."""
    note = f"{settings.requests} requests of {settings.steps} steps at once"
    names = {"first": "until the first picture", "median": "median latency", "last": "until the last picture"}
    pairs = {key: [_pair(one.answered, key) for one in rounds] for key in names}
    return [_over(pairs[key], f"burst: {name}", "burst", note) for key, name in names.items()]


def _pair(by_arm: dict[str, Slowdowns] | dict[str, AnswerTimes], key: str) -> tuple[float, float]:
    ours, theirs = (float(getattr(by_arm[arm], key)) for arm in ARMS)
    return ours, theirs


def _over(pairs: Sequence[tuple[float, float]], name: str, measurement: str, note: str) -> Figure:
    ours, theirs = zip(*(pair for pair in pairs if all(map(math.isfinite, pair))), strict=True)
    note = f"{statistics.median(ours):.2f} and {statistics.median(theirs):.2f}; {note}"
    mark = reported("lower")
    return median_figure(f"{name}, backdrop ÷ monolith", ratios(ours, theirs), mark, measurement, note)


MIXED = Measurement("mixed", MixedSettings((4, 8, 20, 40), 24, 0.6), None, MixedRound, measure_mixed, mixed_figures)
BURST = Measurement("burst", BurstSettings(8, 16), BurstSettings(4, 8), BurstRound, measure_burst, burst_figures)
