"""Goodput: the share of requests answered in time by load, and the highest load at which 90 % of them are.

TetriServe's measure (Lu et al. 2025): a request is in time if it is answered within a factor of its solo latency.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FACTORS = (1.1, 1.2, 1.5, 2.0, 5.0)
MARKED = 2.0
"""The factor that has a mark."""
MIXED_STEPS = (4, 8, 20)
"""Mixed lengths of requests: few-step pipelines, previews, and the default."""
ARMS = ("backdrop", "monolith")


@dataclass(frozen=True)
class Sweep:
    """Poisson arrivals at rising loads, both arms on the same arrivals.

    Attributes:
        lengths: steps of each request.
        solo_s: by arm and number of steps, the latency of a request that is alone.
        slowdowns: by arm and load, every request's latency over the faster arm's solo latency for its length; infinite
            where a request was not answered. An arm's sweep may end early.
    """

    lengths: tuple[int, ...]
    solo_s: dict[str, dict[int, float]]
    slowdowns: dict[str, dict[float, tuple[float, ...]]]


def goodput(latencies_s: Sequence[float], limit_s: float) -> float:
    """The share of requests that were answered within `limit_s`."""
    return sum(latency <= limit_s for latency in latencies_s) / len(latencies_s)


def highest_rate(shares: Mapping[float, float], least: float = 0.9) -> float:
    """The highest rate at which, and at all lower ones, the share of good answers reaches `least`; else 0.

    Between two rates of the sweep it is interpolated: a grid's steps are too coarse for a ratio of two arms.
    """
    best, best_share = 0.0, 1.0
    for rate, share in sorted(shares.items()):
        if share < least:
            return best + (rate - best) * (best_share - least) / (best_share - share)
        best, best_share = rate, share
    return best


def shares(sweeps: Sequence[Sweep], arm: str, factor: float) -> dict[float, float]:
    """By load, the share of an arm's requests within the factor, of all sweeps together.

    A sweep that ended before a load has none in time at it.
    """
    loads = sorted({load for sweep in sweeps for load in sweep.slowdowns[arm]})
    return {
        load: statistics.mean(goodput(sweep.slowdowns[arm].get(load, (math.inf,)), factor) for sweep in sweeps)
        for load in loads
    }


def rates(sweeps: Sequence[Sweep], factor: float) -> dict[str, float]:
    """The highest load of each arm with 90 % of requests in time, in units of 1 ÷ the floor's mean latency."""
    return {arm: highest_rate(shares(sweeps, arm, factor)) for arm in ARMS}


def ratio(sweeps: Sequence[Sweep], factor: float) -> float:
    """The cluster's highest load over the monolith's; nan where either has none."""
    highest = rates(sweeps, factor)
    return highest["backdrop"] / highest["monolith"] if min(highest.values()) > 0 else math.nan
