"""The orchestrator's tax: how long the engine stands idle although there is more work than it can do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.company import Company, starting
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS
from bench.engine import Engine
from bench.figures import Figure
from bench.measure.base import Measurement, figure
from bench.measure.crowd import running
from bench.orders import numbered
from bench.processes import cpu_s
from bench.rounds import Round, values


async def window(arm: BackdropArm, number: int, settings: Mapping[str, Any]) -> Round:
    """What the denoiser did in a window in which those that run are in their steps, and others wait for them."""
    first = 600_000 + 1000 * number
    orders = [numbered(first + index, steps=100) for index in range(settings["requests"])]
    async with Engine(arm.cluster.endpoints.triton) as engine, running(arm, orders, settings["running"]):
        loop = asyncio.get_running_loop()
        begin, before, spent_s = loop.time(), await engine.work("denoiser"), _spent_s(arm)
        await asyncio.sleep(settings["window_s"])
        done, wall_s = await engine.work("denoiser") - before, loop.time() - begin
        copies = await engine.copies("denoiser")
        costs_ms = {
            f"{name}_cpu_ms_a_call": 1000 * (after_s - spent_s[name]) / done.requests
            for name, after_s in _spent_s(arm).items()
        }
    return {
        "tax": 1 - done.busy_s / copies / wall_s,
        "copies": copies,
        "execution_ms": 1000 * done.busy_s / done.executions,
        "rows_an_execution": done.rows / done.executions,
        "rows_a_second": done.rows / wall_s,
        **costs_ms,
    }


def _spent_s(arm: BackdropArm) -> dict[str, float]:
    """Processor seconds of the orchestrator and of Triton with its engines."""
    children = arm.cluster.children
    return {"orchestrator": cpu_s(children["orchestrator"].pid), "triton": cpu_s(children["triton-0"].pid)}


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The tax on the real engine and on emulated ones."""
    found: dict[str, Any] = {"real": await window(await company.backdrop(), number, settings)}
    for name, cost in COSTS.items():
        arm = await company.get(f"backdrop, {name}", starting(EmulatedBackdrop, cost))
        assert isinstance(arm, BackdropArm)
        found[name] = await window(arm, number, settings)
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Of the real engine, which shares its processors with the orchestrator, and of emulated ones, which do not."""
    made = []
    for kind in ("real", *COSTS):
        found = values(rounds, kind, "tax")
        last = rounds[-1][kind]
        what = f"{last['execution_ms']:.0f} ms an execution of {last['rows_an_execution']:.1f} rows"
        if last["copies"] > 1:
            what += f", {last['copies']} side by side"
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
