"""How many rows to send together at most: the batcher's own choice, compared with lower bounds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms.pool import ArmPool, starting
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS
from bench.figures import Figure, reported
from bench.load import closed_loop
from bench.measure.base import Measurement, median_figure
from bench.requests import requests
from bench.rounds import ratios

VARIABLE = "BACKDROP_MAX_BATCH_ROWS"


@dataclass(frozen=True)
class Settings:
    """Bounds on a batch's rows, the one that is never reached, and the load."""

    rows: tuple[int, ...]
    default: int
    clients: int
    requests: int
    steps: int


@dataclass(frozen=True)
class Speed:
    """Pictures a second, and the median latency in seconds."""

    throughput: float
    median_s: float


@dataclass(frozen=True)
class Round:
    """By engine and bound."""

    engines: dict[str, dict[int, Speed]]


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Throughput and median latency by engine and bound; each cluster lives only during its turn."""
    engines: dict[str, dict[int, Speed]] = {}
    source = requests("depth", number)
    for bound in settings.rows:
        environment = {VARIABLE: str(bound)}
        starts = {"the CPU": starting(BackdropArm, settings=environment)}
        starts |= {kind: starting(EmulatedBackdrop, cost, settings=environment) for kind, cost in COSTS.items()}
        for engine, start in starts.items():
            name = f"backdrop, {engine}, {bound} rows"
            arm = await pool.get(name, start)
            batch = source.take(settings.requests, steps=settings.steps)
            result = await closed_loop(arm.generate, batch, settings.clients)
            await pool.leave(name)
            speed = Speed(result.throughput, statistics.median(result.latencies_s))
            engines.setdefault(engine, {})[bound] = speed
    return Round(engines)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Throughput over that without another bound than the model's."""
    result = []
    for engine in rounds[0].engines:
        default = [one.engines[engine][settings.default].throughput for one in rounds]
        for bound in (rows for rows in settings.rows if rows != settings.default):
            speeds = [one.engines[engine][bound] for one in rounds]
            median_s = statistics.median(speed.median_s for speed in speeds)
            note = f"median latency {median_s:.2f} s, {settings.clients} clients"
            name = f"batches of at most {bound} rows, {engine}: throughput over the batcher's own"
            values = ratios([speed.throughput for speed in speeds], default)
            result.append(median_figure(name, values, reported("higher"), "depth", note))
    return result


DEPTH = Measurement("depth", Settings((2, 4, 8, 256), 256, 16, 32, 10), None, Round, measure, figures, rounds=3)
