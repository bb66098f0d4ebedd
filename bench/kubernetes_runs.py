"""The marks of the manifests that start processes: the overlay replayed, a network that fails, and the simulator."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from bench.capacity import answers as capacity_answers
from bench.capacity import measured, plot, pool_cost
from bench.capacity.costs import OrchestratorCost
from bench.figures import FOLDER, ROOT, Figure
from local.cluster import Cluster, Options
from tests.k8s.rendering import overlay
from tests.k8s.replay.askers import asking
from tests.k8s.replay.cluster import Replay
from tests.k8s.test_replay import FAST, PRODUCT

_COMMAND = "python -m bench.kubernetes"
_COSTS = FOLDER / "capacity.json"
MOST_ORCHESTRATORS = 48
"""The production overlay's autoscaler."""


def replay() -> list[Figure]:
    """The cpu overlay as local processes: seconds until it serves, and requests lost in rollouts of both workloads."""
    return asyncio.run(_replay())


async def _replay() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        async with Replay(overlay("cpu"), Path(folder)) as cluster:
            await cluster.wait_ready()
            ready_s = time.monotonic() - began
            async with asking(cluster.endpoint("orchestrator"), product=PRODUCT, **FAST) as asked:
                for _ in range(3):
                    for workload in ("orchestrator", "triton"):
                        await cluster.rollout_restart(workload)
    return [
        Figure(
            "requests lost while every pod of orchestrator and Triton is replaced", len(asked.failed), 0, "lower",
            f"{_COMMAND} replay", spread=f"{asked.made} made during 6 rollouts of the rendered cpu overlay",
            why="; ".join(map(str, asked.failed[:2])),
        ),
        Figure(
            "the rendered cpu overlay as local processes: seconds until every pod is ready", round(ready_s, 1), 60,
            "lower", f"{_COMMAND} replay", spread="Job, Redis, Triton and orchestrator started at once",
        ),
    ]  # fmt: skip


def network() -> Figure:
    """The tests of the network, as a count of those that fail or are skipped."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "tests/k8s/network"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stdout.strip().splitlines()[-1]
    counts = {word: int(number) for number, word in _pairs(last)}
    assert counts, f"pytest said no counts: {run.stdout[-500:]} {run.stderr[-500:]}"
    bad = sum(count for word, count in counts.items() if word != "passed")
    return Figure(
        "network faults that a caller notices, or that were not tried", bad, 0, "lower", f"{_COMMAND} network",
        spread=f"{last.strip('= ')}: a link cut, 5 % of packets lost, a host dead, an orchestrator dead",
        why=last if bad else "",
    )  # fmt: skip


def _pairs(line: str) -> list[tuple[str, str]]:
    words = line.replace(",", " ").split()
    return [(a, b) for a, b in itertools.pairwise(words) if a.isdigit() and b.isalpha()]


def capacity() -> list[Figure]:
    """The simulator beside this machine, at numbers of callers and of steps that it was not fitted to."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Options(port=0, log_folder=Path(folder)))
        with cluster:
            found = asyncio.run(measured.everything(cluster, 15))
            service = cluster.endpoints.orchestrator
            loads = {steps: [asyncio.run(measured.load(service, n, 30, steps)) for n in (2, 4, 8)] for steps in (2, 8)}
            redis_s = 1 / measured.redis_rate(cluster.endpoints.redis_url, cluster.children["redis"].pid)
    worst, told = 0.0, []
    for steps, measured_loads in loads.items():
        for real, simulated in capacity_answers.compared(found, measured_loads, steps):
            for name in ("rate", "p50_s"):
                there, here = getattr(simulated, name), getattr(real, name)
                worst = max(worst, abs(there / here - 1))
            told.append(f"{real.callers} callers {steps} steps: {real.rate:.2f}/s, simulated {simulated.rate:.2f}")
    costs = asdict(found) | {
        "probe_s": pool_cost.probe_s(), "choice_s": asyncio.run(pool_cost.choice_s()), "redis_command_s": redis_s,
    }  # fmt: skip
    _COSTS.write_text(json.dumps(costs, indent=2) + "\n")
    return [
        Figure(
            "capacity simulator: largest difference from this machine, rate and median", round(worst, 3), 0.15,
            "lower", f"{_COMMAND} capacity", spread="; ".join(told),
        )
    ]  # fmt: skip


def costs() -> tuple[OrchestratorCost, float, float]:
    """What `capacity` measured: an orchestrator's cost in its own seconds, and Redis': a command's, and how many."""
    saved = json.loads(_COSTS.read_text())
    given = saved["orchestrator"]
    cost = OrchestratorCost(
        request_s=given["request_s"] * measured.CORES,
        call_s=given["call_s"] * measured.CORES,
        choice_s=saved["choice_s"],
        probe_s=saved["probe_s"],
        wire_s=given["wire_s"],
    )
    return cost, saved["redis_command_s"], saved["work"]["redis_commands"]


def answers() -> list[Figure]:
    """10, 100 and 1,000 GPUs, and what gives way first."""
    cost, redis_s, commands = costs()
    found = [
        capacity_answers.answer(gpus, engine, cost, redis_s, commands)
        for engine in capacity_answers.ENGINES
        for gpus in capacity_answers.GPUS
    ]
    plot.draw(found, ROOT / "docs" / "images" / "kubernetes" / "capacity.png")
    rows = [
        Figure(
            f"simulated, {one.engine} engine, {one.gpus} GPUs: requests a second", round(one.outcome.rate, 2), None,
            "higher", f"{_COMMAND} answers",
            spread=f"p95 {one.outcome.p95_s:.1f} s, {one.free.p95_s:.1f} s if one orchestrator saw every row; "
            f"{one.orchestrators} orchestrators, {one.outcome.orchestrator_busy:.0%} busy and "
            f"{min(cost.probing(one.gpus), 1):.0%} probing; GPUs {one.outcome.engine_busy:.0%} busy, "
            f"{one.outcome.rows_a_batch:.1f} rows a batch; Redis {one.redis_cores:.1%} of a core",
        )
        for one in found
    ]  # fmt: skip
    limits = capacity_answers.bounds(cost, found, MOST_ORCHESTRATORS)
    first = Figure(
        "simulated: GPUs at which something gives way first", round(limits[0][0]), None, "higher",
        f"{_COMMAND} answers", spread="; ".join(f"{gpus:.0f}: {what}" for gpus, what in limits),
    )  # fmt: skip
    return [*rows, first]
