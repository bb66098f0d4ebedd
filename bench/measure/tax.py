"""The orchestrator's tax: how long the engine stands idle although there is more work than it can do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.company import Company, starting
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS, Cost
from bench.engine import Engine
from bench.figures import Figure
from bench.measure.base import Measurement, figure
from bench.measure.crowd import running
from bench.orders import numbered
from bench.processes import cpu_s, own_s
from bench.rounds import Round, values


async def window(arm: BackdropArm, number: int, settings: Mapping[str, Any], cost: Cost | None = None) -> Round:
    """What the denoiser did in a window in which those that run are in their steps, and others wait for them.

    An emulated engine is busy for as long as its batches cost; a real one for as long as its processes had the cores,
    all of which it could use. Triton's time of an execution says neither: it has waiting in it where several meet.
    """
    first = 600_000 + 1000 * number
    orders = [numbered(first + index, steps=100) for index in range(settings["requests"])]
    async with Engine(arm.cluster.endpoints.triton) as engine, running(arm, orders, settings["running"]):
        loop = asyncio.get_running_loop()
        begin, before, spent_s = loop.time(), await engine.work("denoiser"), _spent_s(arm)
        await asyncio.sleep(settings["window_s"])
        done, wall_s = await engine.work("denoiser") - before, loop.time() - begin
        spent_s = {name: after_s - spent_s[name] for name, after_s in _spent_s(arm).items()}
    cores = len(os.sched_getaffinity(0))
    return {
        "tax": 1 - (cost.busy_s(done) if cost else spent_s["engine"] / cores) / wall_s,
        "rows_an_execution": done.rows / done.executions,
        "rows_a_second": done.rows / wall_s,
        **{f"{name}_cpu_ms_a_call": 1000 * seconds / done.requests for name, seconds in spent_s.items()},
    }


def _spent_s(arm: BackdropArm) -> dict[str, float]:
    """Processor seconds of the orchestrator, of Triton, and of the processes below it, which are its engines."""
    children = arm.cluster.children
    triton = children["triton-0"].pid
    return {
        "orchestrator": cpu_s(children["orchestrator"].pid),
        "triton": own_s(triton),
        "engine": cpu_s(triton) - own_s(triton),
    }


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The tax on the real engine and on emulated ones."""
    found: dict[str, Any] = {"real": await window(await company.backdrop(), number, settings)}
    for name, cost in COSTS.items():
        arm = await company.get(f"backdrop, {name}", starting(EmulatedBackdrop, cost))
        assert isinstance(arm, BackdropArm)
        found[name] = await window(arm, number, settings, cost)
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Of the real engine, which shares its processors with the orchestrator, and of emulated ones, which do not."""
    made = []
    for kind in ("real", *COSTS):
        found = values(rounds, kind, "tax")
        last = rounds[-1][kind]
        what = f"executions of {last['rows_an_execution']:.1f} rows, {last['rows_a_second']:.0f} rows a second"
        engine = "the CPU" if kind == "real" else f"an emulated {kind} engine"
        name = f"orchestrator tax at saturation, {engine} (1 − engine-busy ÷ wall)"
        made.append(figure(name, found, 0.05, "lower", "tax", what))
    name = "orchestrator's processor time a denoiser call, ms"
    made.append(figure(name, values(rounds, "near-linear", "orchestrator_cpu_ms_a_call"), None, "lower", "tax"))
    name = "Triton's processor time a denoiser call, ms, engine apart"
    made.append(figure(name, values(rounds, "near-linear", "triton_cpu_ms_a_call"), None, "lower", "tax"))
    return made


TAX = Measurement(
    "tax",
    {"requests": 16, "running": 12, "window_s": 8},
    {"requests": 16, "running": 12, "window_s": 3},
    measure,
    figures,
)
