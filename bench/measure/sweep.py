"""Open loops: Poisson arrivals at rising rates, and how many are answered in time; `backdrop` beside `monolith`.

TetriServe's measure (Lu et al. 2025): a request is good if it is answered within a factor of what it takes alone. Both
arms are held to the same seconds: the factor times the faster arm's solo latency of that round for so many steps. As
there, requests come with their deadline, and an arm may make of it what it can: it is the call's own, of which gRPC
tells both servers. Tighter factors are read off the same run.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.arms.base import Arm
from bench.arms.company import Company, starting
from bench.emulated.arms import EmulatedBackdrop, EmulatedMonolith
from bench.emulated.costs import COSTS
from bench.figures import Figure
from bench.load import highest_rate, open_loop, poisson_arrivals, timed
from bench.measure.base import Measurement, significant
from bench.orders import numbered
from bench.rounds import Round

FACTORS = (1.1, 1.2, 1.5, 2.0, 5.0)
MARKED = 2.0
ARMS = ("backdrop", "monolith")
# What stops an arm's sweep: at a higher rate it would only be worse, and the time is better spent on the other.
_HOPELESS = 0.6


async def solo_s(arm: Arm, lengths: Sequence[int], first: int) -> dict[int, float]:
    """Seconds of a lone request by its number of steps, the median of three."""
    found = {}
    for place, steps in enumerate(sorted(set(lengths))):
        orders = [numbered(first + 10 * place + index, steps=steps) for index in range(3)]
        found[steps] = statistics.median([await timed(arm.generate, one, time.perf_counter()) for one in orders])
    return found


async def measure(arms: Mapping[str, Arm], number: int, settings: Mapping[str, Any], first: int) -> dict[str, Any]:
    """By load and arm, every request's latency over the floor's for its length; infinite where it was not answered.

    The arms take turns at each load, on the same arrivals and lengths.
    """
    lengths = [int(each) for each in np.random.default_rng(number).choice(settings["steps"], settings["orders"])]
    alone = {name: await solo_s(arm, lengths, first + 900) for name, arm in arms.items()}
    floor = {steps: min(each[steps] for each in alone.values()) for steps in set(lengths)}
    mean_s = statistics.mean(floor[steps] for steps in lengths)
    deadline = settings["deadline"]
    slowdowns: dict[str, dict[str, list[float]]] = {name: {} for name in arms}
    for load in settings["loads"]:
        arrivals = poisson_arrivals(load / mean_s, len(lengths), seed=number)
        orders = [
            numbered(first + index, steps=steps, timeout_s=deadline * floor[steps])
            for index, steps in enumerate(lengths)
        ]
        for name in sorted(arms):
            known = slowdowns[name]
            if known and within(list(known.values())[-1], deadline) < _HOPELESS:
                continue
            run = await open_loop(arms[name].generate, orders, arrivals)
            over = [latency / floor[steps] for latency, steps in zip(run.latencies_s, lengths, strict=True)]
            known[str(load)] = [round(each, 3) for each in over]
            # Whatever was given up is out of the way before the next run.
            await arms[name].generate(numbered(first + 800, steps=2))
        first += len(lengths)
    return {"lengths": lengths, "solo_s": alone, "slowdowns": slowdowns}


async def measure_real(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """One sweep of both arms on the processor."""
    return await measure(
        {name: await company.get(name) for name in ARMS}, number, settings, 1_000_000 + 10_000 * number
    )


async def measure_emulated(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """One sweep of both arms on each emulated engine, one replica each."""
    found = {}
    for name, cost in COSTS.items():
        arms = {
            "backdrop": await company.get(f"backdrop, {name}", starting(EmulatedBackdrop, cost)),
            "monolith": await company.get(f"monolith, {name}", starting(EmulatedMonolith, cost)),
        }
        found[name] = await measure(arms, number, settings, 2_000_000 + 10_000 * number)
    return found


def within(slowdowns: Sequence[float], factor: float) -> float:
    """The share of requests that took at most so many times as long as alone."""
    return sum(each <= factor for each in slowdowns) / len(slowdowns)


def shares(sweeps: Sequence[Mapping[str, Any]], arm: str, factor: float) -> dict[float, float]:
    """By load, the share of an arm's requests within the factor, of all sweeps together.

    A sweep that ended before a load has none in time at it.
    """
    loads = {load: float(load) for sweep in sweeps for load in sweep["slowdowns"][arm]}
    found = {}
    for name, load in loads.items():
        good = [within(sweep["slowdowns"][arm].get(name, [math.inf]), factor) for sweep in sweeps]
        found[load] = statistics.mean(good)
    return dict(sorted(found.items()))


def rates(sweeps: Sequence[Mapping[str, Any]], factor: float) -> dict[str, float]:
    """The highest load of each arm, in units of 1 ÷ the floor's mean latency, with 90 % of requests in time."""
    return {arm: highest_rate(shares(sweeps, arm, factor)) for arm in ARMS}


def ratio(sweeps: Sequence[Mapping[str, Any]], factor: float) -> float:
    """The cluster's highest load over the monolith's; nan where either has none."""
    found = rates(sweeps, factor)
    return found["backdrop"] / found["monolith"] if min(found.values()) > 0 else math.nan


def sweep_figures(sweeps: Sequence[Mapping[str, Any]], deadline: float, engine: str, name: str) -> list[Figure]:
    """A figure for each SLO factor up to the deadline, of all rounds together: one alone has too few requests for 90 %.

    The spread is what it would be without any one of the rounds.
    """
    made, command = [], f"python -m bench.performance {name}"
    for factor in (each for each in FACTORS if each <= deadline):
        value, found = ratio(sweeps, factor), rates(sweeps, factor)
        without = [ratio([*sweeps[:place], *sweeps[place + 1 :]], factor) for place in range(len(sweeps))]
        told = f"{min(without):.3g}–{max(without):.3g} without one of {len(sweeps)} rounds; " if len(sweeps) > 1 else ""
        requests = sum(len(sweep["lengths"]) for sweep in sweeps)
        note = f"loads {found['backdrop']:.2f} and {found['monolith']:.2f} of 1 ÷ solo, {requests} requests at each"
        label = f"highest Poisson rate with ≥ 90 % within {factor:g}× solo, {engine}, backdrop ÷ monolith"
        mark = 2.0 if factor == deadline == MARKED else None
        if math.isfinite(value):
            made.append(Figure(label, significant(value), mark, "higher", command, told + note))
    return made


def _real(name: str, settings: Mapping[str, Any], engine: str) -> Measurement:
    return Measurement(
        name, settings, None, measure_real, lambda rounds, given: sweep_figures(rounds, given["deadline"], engine, name)
    )  # fmt: skip


def _emulated(name: str, settings: Mapping[str, Any], what: str) -> Measurement:
    def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
        return [
            each
            for kind in COSTS
            for each in sweep_figures(
                [one[kind] for one in rounds], settings["deadline"], f"emulated {kind} engine{what}", name
            )
        ]

    return Measurement(name, settings, None, measure_emulated, figures)


# Few-step pipelines, previews, and the default of 20.
MIXED = (4, 8, 20)
_LOADS = [0.2, 0.4, 0.6, 0.9]
# Few and not low, since the loads below a half take most of a round's time.
_EMULATED_LOADS = [0.3, 0.45, 0.7, 1.1, 1.8, 3.0, 4.5]
_EQUAL = {"steps": [10], "orders": 20, "deadline": MARKED, "loads": _LOADS}
_EQUAL_EMULATED = _EQUAL | {"steps": [8], "loads": _EMULATED_LOADS}
_PATIENT = {"deadline": 5.0, "loads": [0.7, 1.1, 1.8, 3.0, 4.5]}
SWEEPS = (
    _real("poisson", _EQUAL, "on the CPU"),
    _emulated("poisson-emulated", _EQUAL_EMULATED, ""),
    _real("poisson-mixed", _EQUAL | {"steps": list(MIXED)}, "on the CPU, mixed lengths"),
    _emulated("poisson-mixed-emulated", _EQUAL_EMULATED | {"steps": list(MIXED)}, ", mixed lengths"),
    _emulated("poisson-patient-emulated", _EQUAL_EMULATED | _PATIENT, ""),
)
