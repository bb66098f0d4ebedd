"""The figures of the capacity simulator: its distance from this machine, its answers for 10, 100 and 1,000 GPUs."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from pathlib import Path

from pydantic import TypeAdapter

from bench.capacity import answers, machine, plot, pool_cost
from bench.capacity.costs import ModelCost, OrchestratorCost, Work
from bench.figures import FOLDER, ROOT, Figure, at_most, reported
from local.cluster import Cluster, Options

_COMMAND = "python -m bench.kubernetes"
_COSTS = FOLDER / "capacity.json"
MOST_ORCHESTRATORS = 48
"""The production overlay's autoscaler."""


@dataclasses.dataclass(frozen=True)
class Costs:
    """docs/figures/capacity.json: what `machine` and `pool_cost` measured, in shares of this machine.

    Attributes:
        models: by name.
        orchestrator: as on this machine, whose cores it shares with the models.
        work: of one request.
        probe_s, choice_s: processor seconds of a probe, and of a choice for each replica.
        redis_command_s: of one core of Redis.
    """

    models: dict[str, ModelCost]
    orchestrator: OrchestratorCost
    work: Work
    probe_s: float
    choice_s: float
    redis_command_s: float

    @classmethod
    def load(cls) -> Costs:
        """The costs on disk."""
        return TypeAdapter(cls).validate_json(_COSTS.read_bytes())

    def save(self) -> None:
        """Writes them."""
        _COSTS.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    def of_own_core(self) -> OrchestratorCost:
        """The cost of an orchestrator that has a core to itself."""
        return OrchestratorCost(
            request_s=self.orchestrator.request_s * machine.CORES,
            call_s=self.orchestrator.call_s * machine.CORES,
            choice_s=self.choice_s,
            probe_s=self.probe_s,
            wire_s=self.orchestrator.wire_s,
        )


def capacity() -> list[Figure]:
    """The simulator and this machine, at numbers of callers and of steps that it was not fitted to."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Options(port=0, log_folder=Path(folder)))
        with cluster:
            fitted = asyncio.run(machine.everything(cluster, 15))
            service = cluster.endpoints.orchestrator
            loads = {steps: [asyncio.run(machine.load(service, n, 30, steps)) for n in (2, 4, 8)] for steps in (2, 8)}
            redis_s = 1 / machine.redis_rate(cluster.endpoints.redis_url, cluster.children["redis"].pid)
    worst, lines = 0.0, []
    for steps, measured_loads in loads.items():
        for real, simulated in answers.compared(fitted, measured_loads, steps):
            for there, here in ((simulated.rate, real.rate), (simulated.p50_s, real.p50_s)):
                worst = max(worst, abs(there / here - 1))
            lines.append(f"{real.callers} callers {steps} steps: {real.rate:.2f}/s, simulated {simulated.rate:.2f}")
    Costs(
        models=dict(fitted.models),
        orchestrator=fitted.orchestrator,
        work=fitted.work,
        probe_s=pool_cost.probe_s(),
        choice_s=asyncio.run(pool_cost.choice_s()),
        redis_command_s=redis_s,
    ).save()
    name = "capacity simulator: largest difference from this machine, rate and median"
    return [Figure(name, round(worst, 3), at_most(0.15), f"{_COMMAND} capacity", "; ".join(lines))]


def simulated_answers() -> list[Figure]:
    """10, 100 and 1,000 GPUs, and the first bound that is reached."""
    costs = Costs.load()
    cost = costs.of_own_core()
    every = [
        answers.answer(gpus, engine, cost, costs.redis_command_s, costs.work.redis_commands)
        for engine in answers.ENGINES
        for gpus in answers.GPUS
    ]
    plot.draw(every, ROOT / "docs" / "images" / "kubernetes" / "capacity.png")
    limits = answers.bounds(cost, every, MOST_ORCHESTRATORS)
    first = Figure(
        "simulated: GPUs at which something gives way first", round(limits[0][0]), reported("higher"),
        f"{_COMMAND} answers", spread="; ".join(f"{gpus:.0f}: {what}" for gpus, what in limits),
    )  # fmt: skip
    return [*(_answer(one, cost) for one in every), first]


def _answer(one: answers.Answer, cost: OrchestratorCost) -> Figure:
    outcome = one.outcome
    spread = (
        f"p95 {outcome.p95_s:.1f} s, {one.free.p95_s:.1f} s if one orchestrator saw every row; "
        f"{one.orchestrators} orchestrators, {outcome.orchestrator_busy:.0%} busy and "
        f"{min(cost.probing(one.gpus), 1):.0%} probing; GPUs {outcome.engine_busy:.0%} busy, "
        f"{outcome.rows_per_batch:.1f} rows a batch; Redis {one.redis_cores:.1%} of a core"
    )
    name = f"simulated, {one.engine} engine, {one.gpus} GPUs: requests a second"
    return Figure(name, round(outcome.rate, 2), reported("higher"), f"{_COMMAND} answers", spread)
