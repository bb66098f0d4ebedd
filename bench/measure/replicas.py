"""Emulated engines in 1, 2, 4 and 8 replicas: how well the scheduler fills them at GPU step times, on any machine."""

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
from bench.triton_statistics import TritonStatistics


@dataclass(frozen=True)
class Settings:
    """Numbers of replicas, clients per replica, requests per client and their steps."""

    replicas: tuple[int, ...]
    clients: int
    requests: int
    steps: int


@dataclass(frozen=True)
class Use:
    """Pictures a second, median latency, the share of time that a replica computes, and rows per execution."""

    throughput: float
    median_s: float
    busy: float
    rows_per_execution: float


@dataclass(frozen=True)
class Round:
    """By cost of the engine and number of replicas."""

    engines: dict[str, dict[int, Use]]


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Throughput, median latency and engine use by cost and replicas; each cluster lives only during its turn."""
    engines: dict[str, dict[int, Use]] = {}
    source = requests("replicas", number)
    for kind, cost in COSTS.items():
        for replicas in settings.replicas:
            clients = settings.clients * replicas
            name = f"backdrop, {kind}, {replicas}"
            arm = await pool.get(name, starting(EmulatedBackdrop, cost, replicas, clients))
            assert isinstance(arm, BackdropArm)
            batch = source.take(settings.requests * clients, steps=settings.steps)
            async with TritonStatistics(arm.cluster.endpoints.triton) as statistics_of:
                before = await statistics_of.work("denoiser")
                result = await closed_loop(arm.generate, batch, clients)
                work = await statistics_of.work("denoiser") - before
            await pool.leave(name)
            engines.setdefault(kind, {})[replicas] = Use(
                throughput=result.throughput,
                median_s=statistics.median(result.latencies_s),
                busy=cost.busy_s(work) / result.wall_s / replicas,
                rows_per_execution=work.rows / work.executions,
            )
    return Round(engines)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Throughput over one replica's, and how busy the replicas are."""
    result = []
    for kind in COSTS:
        single = [one.engines[kind][1].throughput for one in rounds]
        for count in (replicas for replicas in settings.replicas if replicas != 1):
            uses = [one.engines[kind][count] for one in rounds]
            busy = statistics.median(use.busy for use in uses)
            rows = statistics.median(use.rows_per_execution for use in uses)
            values = ratios([use.throughput for use in uses], single)
            name = f"emulated {kind} engine, {count} replicas: throughput over one replica's"
            note = f"replicas busy {busy:.0%}, {rows:.1f} rows an execution"
            result.append(median_figure(name, values, reported("higher"), "replicas", note))
    return result


REPLICAS = Measurement("replicas", Settings((1, 2, 4, 8), 8, 2, 20), None, Round, measure, figures)
