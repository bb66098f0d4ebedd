"""Emulated engines in 1, 2, 4 and 8 replicas: what the scheduler makes of them, at GPU step times, on any machine."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.company import Company, starting
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS
from bench.engine import Engine
from bench.figures import Figure
from bench.load import closed_loop
from bench.measure.base import Measurement, figure
from bench.orders import numbered
from bench.rounds import Round, ratios, values


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Throughput, median latency and engine use by cost and replicas; each cluster lives only as long as its turn."""
    found: dict[str, Any] = {}
    for kind, cost in COSTS.items():
        for replicas in settings["replicas"]:
            clients = settings["clients"] * replicas
            name = f"backdrop, {kind}, {replicas}"
            arm = await company.get(name, starting(EmulatedBackdrop, cost, replicas, clients))
            assert isinstance(arm, BackdropArm)
            first = 5_000_000 + 10_000 * number
            orders = [numbered(first + index, steps=settings["steps"]) for index in range(settings["orders"] * clients)]
            async with Engine(arm.cluster.endpoints.triton) as engine:
                before = await engine.work("denoiser")
                run = await closed_loop(arm.generate, orders, clients)
                done = await engine.work("denoiser") - before
            await company.leave(name)
            found.setdefault(kind, {})[str(replicas)] = {
                "throughput": run.throughput,
                "median_s": statistics.median(run.latencies_s),
                "busy": cost.busy_s(done) / run.wall_s / replicas,
                "rows_an_execution": done.rows / done.executions,
            }
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Throughput over one replica's, and how busy the replicas are."""
    made = []
    for kind in COSTS:
        for count in map(str, settings["replicas"]):
            busy = statistics.median(values(rounds, kind, count, "busy"))
            rows = statistics.median(values(rounds, kind, count, "rows_an_execution"))
            found = ratios(rounds, [kind, count, "throughput"], [kind, "1", "throughput"])
            label = f"emulated {kind} engine, {count} replicas: throughput over one replica's"
            note = f"replicas busy {busy:.0%}, {rows:.1f} rows an execution"
            if count != "1":
                made.append(figure(label, found, None, "higher", "replicas", note))
    return made


REPLICAS = Measurement(
    "replicas", {"replicas": [1, 2, 4, 8], "clients": 8, "orders": 2, "steps": 20}, None, measure, figures
)
