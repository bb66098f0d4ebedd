"""Requests of different lengths, and many at once: how much longer than alone each takes, by arm."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.arms.company import Company
from bench.figures import Figure
from bench.load import open_loop, percentile, poisson_arrivals
from bench.measure.base import Measurement, figure
from bench.measure.sweep import solo_s
from bench.orders import numbered
from bench.rounds import Round, ratios, values

_ARMS = ("backdrop", "monolith")


async def measure_mixed(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Poisson arrivals of mixed lengths; slowdowns, each request's latency over the floor's for its length."""
    arms = {name: await company.get(name) for name in _ARMS}
    first = 3_000_000 + 10_000 * number
    lengths = list(np.random.default_rng(number).choice(settings["steps"], settings["orders"]))
    alone = [await solo_s(arm, lengths, first + 5000) for arm in arms.values()]
    floor = {steps: min(one[steps] for one in alone) for steps in alone[0]}
    rate = settings["load"] / statistics.mean(floor[steps] for steps in lengths)
    arrivals = poisson_arrivals(rate, len(lengths), seed=number)
    orders = [numbered(first + index, steps=int(steps)) for index, steps in enumerate(lengths)]
    found: dict[str, Any] = {}
    for name, arm in arms.items():
        run = await open_loop(arm.generate, orders, arrivals)
        slowdowns = [latency / floor[one.steps] for latency, one in zip(run.latencies_s, orders, strict=True)]
        short = [value for value, one in zip(slowdowns, orders, strict=True) if one.steps == min(floor)]
        found[name] = {"p50": percentile(slowdowns, 0.5), "p95": percentile(slowdowns, 0.95), "short": max(short)}
    return found


async def measure_burst(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """So many requests in the same moment; seconds until the first, the median and the last is answered."""
    found: dict[str, Any] = {}
    for place, name in enumerate(_ARMS):
        arm = await company.get(name)
        first = 4_000_000 + 10_000 * number + 1000 * place
        orders = [numbered(first + index, steps=settings["steps"]) for index in range(settings["orders"])]
        run = await open_loop(arm.generate, orders, [0.0] * len(orders))
        ordered = sorted(run.latencies_s)
        found[name] = {"first": ordered[0], "median": statistics.median(ordered), "last": ordered[-1]}
    return found


def mixed_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Slowdowns of the cluster over the monolith's."""
    what = f"steps of {settings['steps']}, Poisson at a load of {settings['load']}"
    names = {"p50": "median slowdown", "p95": "P95 slowdown", "short": "worst slowdown of the shortest requests"}
    return [_over(rounds, key, f"mixed lengths: {name}", "mixed", what) for key, name in names.items()]


def burst_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Times of the cluster over the monolith's."""
    what = f"{settings['orders']} requests of {settings['steps']} steps at once"
    names = {"first": "until the first picture", "median": "median latency", "last": "until the last picture"}
    return [_over(rounds, key, f"burst: {name}", "burst", what) for key, name in names.items()]


def _over(rounds: Sequence[Round], key: str, name: str, measurement: str, what: str) -> Figure:
    usable = [one for one in rounds if all(math.isfinite(one[arm][key]) for arm in _ARMS)]
    found = ratios(usable, ["backdrop", key], ["monolith", key])
    medians = [statistics.median(values(usable, arm, key)) for arm in _ARMS]
    note = f"{medians[0]:.2f} and {medians[1]:.2f}; {what}"
    return figure(f"{name}, backdrop ÷ monolith", found, None, "lower", measurement, note)


MIXED = Measurement(
    "mixed", {"steps": [4, 8, 20, 40], "orders": 24, "load": 0.6}, None, measure_mixed, mixed_figures
)  # fmt: skip
BURST = Measurement("burst", {"steps": 8, "orders": 16}, {"steps": 4, "orders": 8}, measure_burst, burst_figures)
