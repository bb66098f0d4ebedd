"""The orchestrator's tax: the share of time in which the engine stands idle although requests wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from bench.arms.pool import ArmPool, starting
from bench.arms.running import running
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS, Cost
from bench.figures import Figure, at_most, reported
from bench.measure.base import Measurement, median_figure
from bench.processes import cpu_s, own_s
from bench.requests import RequestSource, requests
from bench.triton_statistics import TritonStatistics

REAL = "real"


@dataclass(frozen=True)
class Settings:
    """Requests that are sent, how many of them run at a time, and the seconds of a window."""

    requests: int
    running: int
    window_s: float


@dataclass(frozen=True)
class Window:
    """What the denoiser did in a window at saturation, and processor time by process for each of its calls."""

    tax: float
    rows_per_execution: float
    rows_s: float
    orchestrator_ms_per_call: float
    triton_ms_per_call: float
    engine_ms_per_call: float


@dataclass(frozen=True)
class Round:
    """By engine: `REAL`, and the emulated ones."""

    engines: dict[str, Window]


async def window(arm: BackdropArm, source: RequestSource, settings: Settings, cost: Cost | None = None) -> Window:
    """A window in which some requests are in their steps, and others wait for them.

    An emulated engine is busy for the cost of its batches; a real one while its processes had the cores, all of which
    it could use. Triton's time of an execution is neither: it includes waiting where several executions meet.
    """
    batch = source.take(settings.requests, steps=100)
    async with TritonStatistics(arm.cluster.endpoints.triton) as triton, running(arm, batch, settings.running):
        loop = asyncio.get_running_loop()
        begin, before, spent_s = loop.time(), await triton.work("denoiser"), _spent_s(arm)
        await asyncio.sleep(settings.window_s)
        work, wall_s = await triton.work("denoiser") - before, loop.time() - begin
        spent_s = {name: after_s - spent_s[name] for name, after_s in _spent_s(arm).items()}
    cores = len(os.sched_getaffinity(0))
    per_call = {f"{name}_ms_per_call": 1000 * seconds / work.requests for name, seconds in spent_s.items()}
    return Window(
        tax=1 - (cost.busy_s(work) if cost else spent_s["engine"] / cores) / wall_s,
        rows_per_execution=work.rows / work.executions,
        rows_s=work.rows / wall_s,
        **per_call,
    )


def _spent_s(arm: BackdropArm) -> dict[str, float]:
    """Processor seconds of the orchestrator, of Triton, and of the processes below it, which are its engines."""
    children = arm.cluster.children
    triton = children["triton-0"].pid
    return {
        "orchestrator": cpu_s(children["orchestrator"].pid),
        "triton": own_s(triton),
        "engine": cpu_s(triton) - own_s(triton),
    }


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """The tax on the real engine and on emulated ones."""
    source = requests("tax", number)
    engines = {REAL: await window(await pool.backdrop(), source, settings)}
    for name, cost in COSTS.items():
        arm = await pool.get(f"backdrop, {name}", starting(EmulatedBackdrop, cost))
        assert isinstance(arm, BackdropArm)
        engines[name] = await window(arm, source, settings, cost)
    return Round(engines)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Of the real engine, which shares its processors with the orchestrator, and of emulated ones, which do not."""
    result = []
    for kind in (REAL, *COSTS):
        windows = [one.engines[kind] for one in rounds]
        note = f"executions of {windows[-1].rows_per_execution:.1f} rows, {windows[-1].rows_s:.0f} rows a second"
        engine = "the CPU" if kind == REAL else f"an emulated {kind} engine"
        name = f"orchestrator tax at saturation, {engine} (1 − engine-busy ÷ wall)"
        reason = "the orchestrator and the caller run on the engine's own two cores" if kind == REAL else ""
        values = [one.tax for one in windows]
        result.append(median_figure(name, values, at_most(0.05, reason), "tax", note))
    windows = [one.engines["near-linear"] for one in rounds]
    for name, values in (
        ("orchestrator's processor time a denoiser call, ms", [one.orchestrator_ms_per_call for one in windows]),
        ("Triton's processor time a denoiser call, ms, engine apart", [one.triton_ms_per_call for one in windows]),
    ):
        result.append(median_figure(name, values, reported("lower"), "tax"))
    return result


TAX = Measurement("tax", Settings(16, 12, 8), Settings(16, 12, 3), Round, measure, figures)
