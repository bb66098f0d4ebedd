"""Open loops: Poisson arrivals at rising rates, and how many are answered in time; `backdrop` beside `monolith`.

TetriServe's measure (Lu et al. 2025): a request is good if it is answered within a factor of what it takes alone. Both
arms are held to the same seconds: the factor times the faster arm's solo latency of that round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.base import Arm
from bench.arms.company import Company, starting
from bench.emulated.arms import EmulatedBackdrop, EmulatedMonolith
from bench.emulated.costs import COSTS
from bench.figures import Figure
from bench.load import goodput, highest_rate, open_loop, poisson_arrivals, spread, timed
from bench.measure.base import Measurement, figure
from bench.orders import numbered
from bench.rounds import Round

FACTORS = (1.1, 1.2, 1.5, 2.0, 5.0)
# What stops an arm's sweep: at a higher rate it would only be worse, and the time is better spent on the other.
_HOPELESS = 0.5


async def measure(
    arms: Mapping[str, Arm], number: int, settings: Mapping[str, Any], first: int
) -> dict[str, Mapping[str, Any]]:
    """Solo latency and, by rate, the latencies of every arm; the arms take turns at each rate, on the same arrivals."""
    steps, count = settings["steps"], settings["orders"]
    solo = {
        name: statistics.median(
            [await timed(arm.generate, numbered(first + 900 + i, steps=steps), time.perf_counter()) for i in range(3)]
        )
        for name, arm in arms.items()
    }
    floor = min(solo.values())
    sweeps: dict[str, dict[str, list[float]]] = {name: {} for name in arms}
    going = set(arms)
    for load in settings["loads"]:
        arrivals = poisson_arrivals(load / floor, count, seed=number)
        orders = [numbered(first + index, steps=steps) for index in range(count)]
        for name in sorted(going):
            run = await open_loop(arms[name].generate, orders, arrivals)
            sweeps[name][str(load)] = [round(latency, 4) for latency in run.latencies_s]
            if goodput(run.latencies_s, max(FACTORS) * floor) < _HOPELESS:
                going.discard(name)
        first += count
    return {name: {"solo_s": solo[name], "latencies_s": sweeps[name]} for name in arms}


async def measure_real(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """One sweep of both arms on the processor."""
    arms = {name: await company.get(name) for name in ("backdrop", "monolith")}
    return await measure(arms, number, settings, 1_000_000 + 10_000 * number)


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


def rates(sweep: Mapping[str, Mapping[str, Any]], factor: float) -> dict[str, float]:
    """The highest load of each arm, in units of 1 ÷ the floor's latency, with 90 % of requests in time."""
    limit_s = factor * min(arm["solo_s"] for arm in sweep.values())
    return {
        name: highest_rate({float(load): goodput(values, limit_s) for load, values in arm["latencies_s"].items()})
        for name, arm in sweep.items()
    }


def sweep_figures(sweeps: Sequence[Mapping[str, Any]], engine: str, name: str) -> list[Figure]:
    """A figure for each SLO factor; the mark is on 2."""
    made = []
    for factor in FACTORS:
        found = [rates(sweep, factor) for sweep in sweeps]
        ours, theirs = ([one[arm] for one in found] for arm in ("backdrop", "monolith"))
        label = f"highest Poisson rate with ≥ 90 % within {factor:g}× solo, {engine}"
        note = f"loads {spread(ours).median:.2f} and {spread(theirs).median:.2f} of 1 ÷ solo"
        mark = 2.0 if factor == 2.0 else None
        if min(ours) > 0 and min(theirs) > 0:
            over = [our / their for our, their in zip(ours, theirs, strict=True)]
            made.append(figure(f"{label}, backdrop ÷ monolith", over, mark, "higher", name, note))
    return made


def figures_real(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """On the processor."""
    return sweep_figures([_arms(one) for one in rounds], "on the CPU", "poisson")


def figures_emulated(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """On the emulated engines."""
    made = []
    for kind in COSTS:
        made += sweep_figures([_arms(one[kind]) for one in rounds], f"emulated {kind} engine", "poisson-emulated")
    return made


def _arms(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one[name] for name in ("backdrop", "monolith")}


POISSON = Measurement(
    "poisson", {"steps": 20, "orders": 16, "loads": [0.2, 0.4, 0.6, 0.8, 1.0]}, None, measure_real, figures_real
)
POISSON_EMULATED = Measurement(
    "poisson-emulated",
    {"steps": 8, "orders": 20, "loads": [0.2, 0.4, 0.8, 1.4, 2.2, 3.2, 4.5]},
    None,
    measure_emulated,
    figures_emulated,
)
