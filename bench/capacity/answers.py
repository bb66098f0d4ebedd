"""The simulator's answers: how it compares with this machine, and what 10, 100 and 1,000 GPUs need.

An engine on a GPU is not measured here. Its denoiser is given the best published figure for SDXL at 1024² with
TensorRT, 44.8 ms a guided step (two rows), split in two ways: near-linear, as when one request fills the GPU, and
sub-linear, as with smaller pictures. Its encoders and decoders are assumptions. Orchestrator, pool and Redis are
measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.capacity.costs import ModelCost, OrchestratorCost, Site, Work
from bench.capacity.machine import Load, MachineCosts
from bench.capacity.simulator import Outcome, Run

GPUS = (10, 100, 1000)
LOADED = 0.7
"""Of the rate that the GPUs could reach with full batches: what an autoscaler would hold."""
BUSY = 0.7
"""Most that an orchestrator may compute, so that it still answers health and takes bursts."""
_REST = {
    "text": ModelCost(0.010, 0.001, 16),
    "vae_encoder": ModelCost(0.0, 0.040, 8),
    "vae_decoder": ModelCost(0.0, 0.060, 8),
    "reward": ModelCost(0.005, 0.005, 16),
}
ENGINES: Mapping[str, Mapping[str, ModelCost]] = {
    "near-linear": {"denoiser": ModelCost(0.0048, 0.0200, 8), **_REST},
    "sub-linear": {"denoiser": ModelCost(0.0398, 0.0025, 8), **_REST},
}
# Four variants of twenty guided steps: what the demo asks for.
PICTURE = Work(
    once=(("text", 2), ("vae_encoder", 1)),
    steps=20,
    step=("denoiser", 2),
    variants=4,
    after=(("vae_decoder", 1), ("reward", 1)),
)


@dataclass(frozen=True)
class Answer:
    """For one number of GPUs: the orchestrators that it needs, and the simulation's outcome.

    `free` is the same load through one orchestrator that costs nothing and sees every row: what the GPUs alone allow.
    """

    gpus: int
    engine: str
    offered: float
    orchestrators: int
    outcome: Outcome
    free: Outcome
    redis_cores: float


def compared(costs: MachineCosts, loads: Sequence[Load], steps: int, seconds: float = 300.0) -> list[tuple[Load, Load]]:
    """Each measured load with the simulated one."""
    work = dataclasses.replace(costs.work, steps=steps)
    site = Site(1, 1, costs.models, costs.orchestrator, shared_machine=True)
    result = []
    for real in loads:
        outcome = Run(site, work, seed=1).closed(real.callers, seconds)
        result.append((real, Load(real.callers, outcome.rate, outcome.p50_s, outcome.p95_s)))
    return result


def most(models: Mapping[str, ModelCost], work: Work) -> float:
    """Requests a second of one GPU whose batches are always full."""
    full = {name: cost.seconds(cost.max_rows) / cost.max_rows for name, cost in models.items()}
    once = sum(full[name] * rows for name, rows in work.once)
    step = work.steps * full[work.step[0]] * work.step[1]
    return 1 / (once + work.variants * (step + sum(full[name] * rows for name, rows in work.after)))


def answer(gpus: int, engine: str, cost: OrchestratorCost, redis_core_s: float, commands: float) -> Answer:
    """The smallest number of orchestrators that carries the load, and the simulation's outcome.

    Args:
        cost: of an orchestrator, in its own processor seconds.
        redis_core_s: of one command.
        commands: of one request.
    """
    models = ENGINES[engine]
    offered = LOADED * gpus * most(models, PICTURE)
    seconds = 60.0 if gpus <= 100 else 24.0
    nothing = OrchestratorCost(0.0, 0.0, 0.0, 0.0, wire_s=cost.wire_s)
    free = Run(Site(gpus, 1, models, nothing), PICTURE, seed=2).open(offered, seconds)
    spent = offered * (cost.request_s + PICTURE.calls * (cost.call_s + gpus * cost.choice_s))
    count, outcome = max(1, math.ceil(spent / BUSY / max(1 - cost.probing(gpus), 0.05))), None
    for _ in range(8):
        outcome = Run(Site(gpus, count, models, cost), PICTURE, seed=2).open(offered, seconds)
        if outcome.rate >= 0.95 * free.rate and outcome.orchestrator_busy <= BUSY:
            break
        count += max(1, count // 4)
    assert outcome is not None
    return Answer(gpus, engine, offered, count, outcome, free, offered * commands * redis_core_s)


def bounds(cost: OrchestratorCost, answers: Sequence[Answer], most_orchestrators: int) -> list[tuple[float, str]]:
    """What gives way first, second and so on, each with the number of GPUs at which it does."""
    per_gpu = max(one.orchestrators / one.gpus for one in answers if one.gpus <= 100)
    redis_per_gpu = max(one.redis_cores / one.gpus for one in answers)
    half_a_core = 0.5 * cost.probe_interval_s / cost.probe_s
    limits = [
        (half_a_core, "every orchestrator probes every replica: half of its core goes into probes"),
        (most_orchestrators / per_gpu, f"the autoscaler's bound of {most_orchestrators} orchestrators"),
        (0.7 / redis_per_gpu if redis_per_gpu else float("inf"), "one Redis, at 70 % of its one core"),
    ]
    return sorted(limits)
