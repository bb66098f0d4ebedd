"""Sweeps how Triton serves each component on this machine, reports it, and proposes configs.

usage: python -m bench.tune [MODEL …] [--seconds S]

For each config: what one caller waits for a step of its own (`lone_ms`), and how many rows a second eight callers get
(`rows_s`). `rows_a_call` says how the two rows of a guided step are sent: in one call, or in two at once, which two
instances can run side by side. Results go to bench/results/tune.json after each config; a later run goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from tritonclient.grpc.aio import InferenceServerClient

from bench.arms.served import REPOSITORY
from bench.inputs import Arrays, infer, random_rows
from bench.rounds import Rounds, load
from bench.tuning import Config, write_repository
from local import triton
from local.ports import free_ports
from local.supervisor import Supervisor

CALLERS = 8
# So much more than the shortest lone step is still a good one; of those the highest throughput wins.
PATIENCE = 1.1
console = Console(stderr=True, highlight=False)


def candidates(model: str) -> list[Config]:
    """What is tried: everything for denoisers, instances and threads for what runs once a picture."""
    shapes = [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1), (1, 2, 2), (2, 2, 2)]
    if not model.startswith("denoiser"):
        return [Config(*shape) for shape in shapes]
    return [Config(*shape, cap, delay) for shape, cap, delay in itertools.product(shapes, (2, 4, 8), (0, 2000))]


async def lone(
    client: InferenceServerClient, model: str, calls: Sequence[Arrays], output: str, seconds: float
) -> float:
    """The median milliseconds of one step, its calls sent at once."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < end or len(taken) < 3:
        await asyncio.gather(*(infer(client, model, call, output) for call in calls))
        taken.append(time.perf_counter() - begin)
    return 1000 * statistics.median(taken)


async def loaded(
    client: InferenceServerClient, model: str, calls: Sequence[Arrays], output: str, seconds: float
) -> float:
    """Rows a second of several callers that step again and again."""
    steps, end = 0, time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal steps
        while time.perf_counter() < end:
            await asyncio.gather(*(infer(client, model, call, output) for call in calls))
            steps += 1

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    rows = sum(len(next(iter(call.values()))) for call in calls)
    return steps * rows / (time.perf_counter() - begin)


async def measure(model: str, config: Config, entry: Mapping[str, Any], seconds: float) -> list[dict[str, Any]]:
    """Serves one model with one config and measures each way to send a step."""
    with tempfile.TemporaryDirectory(prefix="backdrop-tune-") as folder:
        repository = write_repository(REPOSITORY, Path(folder) / "repository", {model: config}, only=True)
        port, metrics_port = free_ports(2)
        supervisor = Supervisor()
        try:
            service = triton.service("triton-tune", repository, port, metrics_port, Path(folder) / "logs")
            supervisor.start(service)
            client = InferenceServerClient(service.endpoint)
            found = [await _ways(client, model, entry, rows, seconds) for rows in _rows_a_call(model)]
            await client.close()
        finally:
            supervisor.stop()
    return [{"model": model, **dataclasses.asdict(config), **one} for one in found]


def _rows_a_call(model: str) -> tuple[int, ...]:
    return (1, 2) if model.startswith("denoiser") else (1,)


async def _ways(
    client: InferenceServerClient, model: str, entry: Mapping[str, Any], rows: int, seconds: float
) -> dict[str, Any]:
    step = 2 if model.startswith("denoiser") else 1
    calls = [random_rows(entry, rows, seed) for seed in range(step // rows)]
    output = entry["outputs"][0]["name"]
    await loaded(client, model, calls, output, seconds / 4)
    alone_ms = await lone(client, model, calls, output, seconds)
    rate = await loaded(client, model, calls, output, seconds)
    return {"rows_a_call": rows, "lone_ms": round(alone_ms, 2), "rows_s": round(rate, 2)}


def proposal(results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the configs whose lone step is nearly the shortest, the one with the most rows a second."""
    shortest = min(one["lone_ms"] for one in results)
    return max((one for one in results if one["lone_ms"] <= PATIENCE * shortest), key=lambda one: float(one["rows_s"]))


def config_of(one: Mapping[str, Any]) -> Config:
    """The config that was tried."""
    return Config(*(one[field.name] for field in dataclasses.fields(Config)))


def trials() -> dict[str, list[Mapping[str, Any]]]:
    """All that was tried so far, by model."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in load("tune"):
        found.setdefault(one["model"], []).append(one)
    return found


def shape_of(one: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Instances, threads, row workers, rows a call: what matters most of a result."""
    return one["instances"], one["threads"], one["row_workers"], one["rows_a_call"]


def main() -> int:
    """Sweeps what is named, or all components of the default pipeline."""
    document = json.loads((REPOSITORY / "pipeline.json").read_text())
    components = list(document["pipelines"][document["default"]]["components"].values())
    parser = argparse.ArgumentParser(prog="python -m bench.tune", description=__doc__)
    parser.add_argument("models", nargs="*", help=", ".join(document["models"]))
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load runs (default: %(default)s)")
    given = parser.parse_args()
    rounds = Rounds("tune", {"seconds": given.seconds, "callers": CALLERS})
    known = {(one["model"], config_of(one)) for one in rounds.done}
    for model in given.models or components:
        for config in candidates(model):
            if (model, config) in known:
                continue
            for one in asyncio.run(measure(model, config, document["models"][model], given.seconds)):
                rounds.add(one)
                console.print(f"{model}: {config}, {one['rows_a_call']} rows a call: "
                              f"{one['lone_ms']:.1f} ms alone, {one['rows_s']:.1f} rows/s")  # fmt: skip
        best = proposal([one for one in rounds.done if one["model"] == model])
        console.print(f"[bold]{model}: {dict(best)}[/bold]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
