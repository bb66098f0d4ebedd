"""The simulator's costs, measured on this machine, and this machine's behaviour under load.

A cost is processor seconds, as the kernel counts them for the processes, divided by the number of cores: under load,
everything on one machine takes turns on its cores. A batch's wall time would be too much: its threads do not keep a
core each while it runs, and those of a lone row wait for one another half of the time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from tritonclient.grpc import InferenceServerClient

import backdrop
from bench.capacity.costs import ModelCost, OrchestratorCost, Work
from bench.figures import ROOT
from bench.model_rows import random_rows
from bench.processes import cpu_s
from local.cluster import Cluster
from orchestrator.triton import TritonPool

PIPELINE = "backdrop-fast"
CORES = os.cpu_count() or 1
_TICKS = os.sysconf("SC_CLK_TCK")
# Of each batch size: many of the kernel's ticks.
_MEASURED_S = 0.6


@dataclass(frozen=True)
class Load:
    """A closed loop: callers, requests a second, and seconds a request (median and 95th percentile)."""

    callers: int
    rate: float
    p50_s: float
    p95_s: float


@dataclass(frozen=True)
class MachineCosts:
    """Everything the simulator needs of one machine."""

    models: Mapping[str, ModelCost]
    orchestrator: OrchestratorCost
    work: Work


async def model_costs(endpoint: str, pid: int, names: tuple[str, ...]) -> dict[str, ModelCost]:
    """Fits fixed + rows · row to batches of 1, 2, 4 and 8 rows of each model, one call at a time.

    Args:
        endpoint: of Triton; nothing else may call it meanwhile.
        pid: of its process, whose children count too.
        names: of the models.
    """
    document = json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())
    pool, costs = TritonPool([endpoint]), {}
    await pool.start()
    for name in names:
        entry = document["models"][name]
        cap = (await pool.metadata(name)).max_batch_size
        sizes, seconds = [n for n in (1, 2, 4, 8) if n <= cap], []
        for rows in sizes:
            batch = random_rows(entry, rows, seed=rows)
            await pool.infer(name, batch)  # a shape's first run plans its memory
            before, calls = cpu_s(pid), 0
            while cpu_s(pid) - before < _MEASURED_S:
                await pool.infer(name, batch)
                calls += 1
            seconds.append((cpu_s(pid) - before) / calls / CORES)
        costs[name] = _fit(sizes, seconds, cap)
    await pool.close()
    return costs


def _fit(sizes: list[int], seconds: list[float], cap: int) -> ModelCost:
    if len(sizes) == 1:
        return ModelCost(seconds[0], 0.0, cap)
    row_s, fixed_s = np.polyfit(sizes, seconds, 1)
    return ModelCost(max(float(fixed_s), 0.0), max(float(row_s), 0.0), cap)


def executions(endpoint: str) -> dict[str, int]:
    """How many inferences each model has run so far."""
    with InferenceServerClient(endpoint) as client:
        return {stats.name: stats.inference_count for stats in client.get_inference_statistics().model_stats}


async def load(endpoint: str, callers: int, seconds: float, steps: int) -> Load:
    """A closed loop through the SDK; every request has a prompt and a seed of its own, and the same product."""
    numbers, took = itertools.count(time.time_ns() % 10**6), list[float]()
    over = time.monotonic() + seconds

    async def caller(client: backdrop.AsyncClient) -> None:
        while time.monotonic() < over:
            began, number = time.monotonic(), next(numbers)
            await client.generate(
                backdrop.Background(ROOT / "examples" / "product.png"),
                prompt=f"a beach number {number}", pipeline=PIPELINE, steps=steps, seed=number,
            )  # fmt: skip
            took.append(time.monotonic() - began)

    async with backdrop.AsyncClient(endpoint, timeout_s=120) as client:
        began = time.monotonic()
        await asyncio.gather(*(caller(client) for _ in range(callers)))
    ordered = sorted(took)
    rate = len(took) / (time.monotonic() - began)
    return Load(callers, rate, ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))])


async def orchestrator_costs(cluster: Cluster, steps: tuple[int, int], seconds: float) -> tuple[float, float]:
    """(request_s, call_s) in processor seconds, from the difference that more steps make, one caller."""
    pid, spent = cluster.children["orchestrator"].pid, list[float]()
    for count in steps:
        before, calls_before = cpu_s(pid), sum(executions(cluster.endpoints.triton[0]).values())
        result = await load(cluster.endpoints.orchestrator, 1, seconds, count)
        calls = sum(executions(cluster.endpoints.triton[0]).values()) - calls_before
        requests = result.rate * seconds
        spent += [(cpu_s(pid) - before) / requests, calls / requests]
    (few_s, few_calls, many_s, many_calls) = spent
    call_s = max((many_s - few_s) / (many_calls - few_calls), 0.0)
    return max(few_s - call_s * few_calls, 0.0), call_s


def redis_commands(url: str) -> int:
    """Commands that Redis has answered so far."""
    info: dict[str, Any] = redis.Redis.from_url(url, protocol=2, driver_info=None).info("stats")
    return int(info["total_commands_processed"])


def redis_rate(url: str, pid: int, value_bytes: int = 64 << 10, seconds: float = 2.0) -> float:
    """Commands a second that one core of Redis answers: writes and reads of an embedding's size."""
    client = redis.Redis.from_url(url, protocol=2, driver_info=None)
    before, count, over = cpu_s(pid), 0, time.monotonic() + seconds
    while time.monotonic() < over:
        client.set("capacity", os.urandom(16) * (value_bytes // 16), px=60_000)
        client.get("capacity")
        count += 2
    return count / max(cpu_s(pid) - before, 1 / _TICKS)


async def everything(cluster: Cluster, seconds: float) -> MachineCosts:
    """Costs of models, orchestrator and a request of two steps, in shares of this machine."""
    triton, service = cluster.endpoints.triton[0], cluster.endpoints.orchestrator
    before, commands = executions(triton), redis_commands(cluster.endpoints.redis_url)
    alone = await load(service, 1, seconds, 2)
    requests = alone.rate * seconds
    per_request = {name: (count - before.get(name, 0)) / requests for name, count in executions(triton).items()}
    used = tuple(name for name, count in per_request.items() if count > 0.5)
    models = await model_costs(triton, cluster.children["triton-0"].pid, used)
    request_s, call_s = await orchestrator_costs(cluster, (2, 8), seconds)
    work = Work(
        once=tuple((name, 1) for name in used if name.startswith(("text", "image", "segment", "vae_encoder"))),
        steps=2,
        step=("denoiser", 1),
        variants=1,
        after=tuple((name, 1) for name in used if name in ("vae_decoder", "reward")),
        redis_commands=(redis_commands(cluster.endpoints.redis_url) - commands) / requests,
    )
    shared = OrchestratorCost(request_s / CORES, call_s / CORES, 0.0, 0.0)
    # What one request alone takes beyond all that is computed is under way, or waits for a thread to wake.
    computed = work.engine_s(models) + shared.request_s + work.calls * shared.call_s
    wire_s = max(alone.p50_s - computed, 0.0) / work.calls
    return MachineCosts(models, OrchestratorCost(shared.request_s, shared.call_s, 0.0, 0.0, wire_s=wire_s), work)
