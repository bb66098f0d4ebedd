"""Open loops: Poisson arrivals at rising rates, and how many are answered in time; `backdrop` and `monolith`.

Both arms are held to the same seconds: the factor times the faster arm's solo latency of that round for so many steps.
As in TetriServe, requests come with their deadline, and an arm may use it as it can: it is the call's own, which gRPC
tells both servers. Tighter factors are read off the same run.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.arms.base import Arm
from bench.arms.pool import ArmPool, starting
from bench.emulated.arms import EmulatedBackdrop, EmulatedMonolith
from bench.emulated.costs import COSTS
from bench.figures import Figure, Mark, at_least, reported
from bench.goodput import ARMS, FACTORS, MARKED, MIXED_STEPS, Sweep, goodput, rates, ratio
from bench.load import open_loop, poisson_arrivals, solo_s
from bench.measure.base import Measurement, command, significant
from bench.requests import RequestSource, requests

CPU = "the CPU"
# An arm's sweep stops below this share in time: at a higher rate it would only be worse.
_HOPELESS = 0.6


@dataclass(frozen=True)
class Settings:
    """Lengths of requests, how many there are, their deadline in solo latencies, and the loads to try."""

    steps: tuple[int, ...]
    requests: int
    deadline: float
    loads: tuple[float, ...]


@dataclass(frozen=True)
class Round:
    """One sweep of both arms on each engine."""

    engines: dict[str, Sweep]


async def solo_by_steps(arm: Arm, lengths: Sequence[int], source: RequestSource) -> dict[int, float]:
    """Seconds of a lone request by its number of steps, the median of three."""
    return {steps: await solo_s(arm.generate, source.take(3, steps=steps)) for steps in sorted(set(lengths))}


async def sweep(arms: Mapping[str, Arm], number: int, settings: Settings, source: RequestSource) -> Sweep:
    """One sweep; the arms take turns at each load, on the same arrivals and lengths."""
    lengths = [int(each) for each in np.random.default_rng(number).choice(settings.steps, settings.requests)]
    alone = {name: await solo_by_steps(arm, lengths, source) for name, arm in arms.items()}
    floor = {steps: min(each[steps] for each in alone.values()) for steps in set(lengths)}
    mean_s = statistics.mean(floor[steps] for steps in lengths)
    slowdowns: dict[str, dict[float, tuple[float, ...]]] = {name: {} for name in arms}
    for load in settings.loads:
        arrivals = poisson_arrivals(load / mean_s, len(lengths), seed=number)
        batch = [source.next(steps=steps, timeout_s=settings.deadline * floor[steps]) for steps in lengths]
        for name in sorted(arms):
            earlier = slowdowns[name]
            if earlier and goodput(list(earlier.values())[-1], settings.deadline) < _HOPELESS:
                continue
            result = await open_loop(arms[name].generate, batch, arrivals)
            over = [latency / floor[steps] for latency, steps in zip(result.latencies_s, lengths, strict=True)]
            earlier[load] = tuple(round(each, 3) for each in over)
            # A request that was given up is out of the way before the next run.
            await arms[name].generate(source.next(steps=2))
    return Sweep(tuple(lengths), alone, slowdowns)


def sweep_figures(
    sweeps: Sequence[Sweep], settings: Settings, engine: str, measurement: str, reason: str = ""
) -> list[Figure]:
    """A figure for each SLO factor up to the deadline, of all rounds together: one has too few requests for 90 %.

    A deadline above the marked factor is for the factors above it: the tighter ones are another measurement's. The
    spread is the value without any one of the rounds.
    """
    least = 0.0 if settings.deadline <= MARKED else MARKED
    result = []
    for factor in (each for each in FACTORS if least < each <= settings.deadline):
        value, highest = ratio(sweeps, factor), rates(sweeps, factor)
        without = [ratio([*sweeps[:place], *sweeps[place + 1 :]], factor) for place in range(len(sweeps))]
        text = f"{min(without):.3g}–{max(without):.3g} without one of {len(sweeps)} rounds; " if len(sweeps) > 1 else ""
        count = sum(len(one.lengths) for one in sweeps)
        text += f"loads {highest['backdrop']:.2f} and {highest['monolith']:.2f} of 1 ÷ solo, {count} requests at each"
        name = f"highest Poisson rate with ≥ 90 % within {factor:g}× solo, {engine}, backdrop ÷ monolith"
        mark: Mark = at_least(2.0, reason) if factor == settings.deadline == MARKED else reported("higher")
        if math.isfinite(value):
            result.append(Figure(name, significant(value), mark, command(measurement), text))
    return result


async def _measure_cpu(pool: ArmPool, number: int, settings: Settings, name: str) -> Round:
    arms = {arm: await pool.get(arm) for arm in ARMS}
    return Round({CPU: await sweep(arms, number, settings, requests(name, number))})


async def _measure_emulated(pool: ArmPool, number: int, settings: Settings, name: str) -> Round:
    source, engines = requests(name, number), {}
    for kind, cost in COSTS.items():
        arms = {
            "backdrop": await pool.get(f"backdrop, {kind}", starting(EmulatedBackdrop, cost)),
            "monolith": await pool.get(f"monolith, {kind}", starting(EmulatedMonolith, cost)),
        }
        engines[kind] = await sweep(arms, number, settings, source)
    return Round(engines)


_SIMULATED = "`python -m bench.emulated.ideal` simulates what an order of serving reaches at no cost"


def _cpu(name: str, settings: Settings, lengths: str = "") -> Measurement[Settings, Round]:
    reason = (
        "on two cores a row costs nearly as much in a batch as alone, so that no order of serving reaches the mark"
        f" where all requests are equally long ({_SIMULATED})"
    )

    async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
        return await _measure_cpu(pool, number, settings, name)

    def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
        return sweep_figures([one.engines[CPU] for one in rounds], settings, f"on {CPU}{lengths}", name, reason)

    return Measurement(name, settings, None, Round, measure, figures)


def _emulated(name: str, settings: Settings, lengths: str = "") -> Measurement[Settings, Round]:
    reason = (
        f"few requests were measured, so that each is some percents of the share ({_SIMULATED})"
        if len(settings.steps) > 1
        else "one request fills such an engine, so that no order of serving reaches the mark where all requests are"
        f" equally long ({_SIMULATED})"
    )

    async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
        return await _measure_emulated(pool, number, settings, name)

    def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
        result = []
        for kind in COSTS:
            sweeps = [one.engines[kind] for one in rounds]
            result += sweep_figures(sweeps, settings, f"emulated {kind} engine{lengths}", name, reason)
        return result

    return Measurement(name, settings, None, Round, measure, figures)


_EQUAL = Settings(steps=(10,), requests=20, deadline=MARKED, loads=(0.2, 0.4, 0.6, 0.9))
# Few and not low, since the loads below a half take most of a round's time.
_EMULATED = dataclasses.replace(_EQUAL, steps=(8,), loads=(0.3, 0.45, 0.7, 1.1, 1.8, 3.0, 4.5))
_MIXED = ", mixed lengths"
SWEEPS = (
    _cpu("poisson", _EQUAL),
    _emulated("poisson-emulated", _EMULATED),
    _cpu("poisson-mixed", dataclasses.replace(_EQUAL, steps=MIXED_STEPS), _MIXED),
    _emulated("poisson-mixed-emulated", dataclasses.replace(_EMULATED, steps=MIXED_STEPS), _MIXED),
    _emulated(
        "poisson-patient-emulated", dataclasses.replace(_EMULATED, deadline=5.0, loads=(0.7, 1.1, 1.8, 3.0, 4.5))
    ),
)
