"""How many rows to send together at most: the batcher's own choice, beside bounds that are lower."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.company import Company, starting
from bench.arms.served import BackdropArm
from bench.emulated.arms import EmulatedBackdrop
from bench.emulated.costs import COSTS
from bench.figures import Figure
from bench.load import closed_loop
from bench.measure.base import Measurement, figure
from bench.orders import numbered
from bench.rounds import Round, ratios, values

SETTING = "BACKDROP_MAX_BATCH_ROWS"


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Throughput and median latency by engine and bound; each cluster lives only as long as its turn."""
    found: dict[str, Any] = {}
    for bound in settings["rows"]:
        given = {SETTING: str(bound)}
        starts = {"the CPU": starting(BackdropArm, settings=given)}
        starts |= {kind: starting(EmulatedBackdrop, cost, settings=given) for kind, cost in COSTS.items()}
        for engine, start in starts.items():
            name = f"backdrop, {engine}, {bound} rows"
            arm = await company.get(name, start)
            first = 6_000_000 + 10_000 * number
            orders = [numbered(first + index, steps=settings["steps"]) for index in range(settings["orders"])]
            run = await closed_loop(arm.generate, orders, settings["clients"])
            await company.leave(name)
            median_s = statistics.median(run.latencies_s)
            found.setdefault(engine, {})[str(bound)] = {"throughput": run.throughput, "median_s": median_s}
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Throughput over that without another bound than the model's."""
    made = []
    default = str(settings["default"])
    for engine in rounds[0]:
        if engine == "commit":
            continue
        for bound in (str(rows) for rows in settings["rows"] if str(rows) != default):
            found = ratios(rounds, [engine, bound, "throughput"], [engine, default, "throughput"])
            median_s = statistics.median(values(rounds, engine, bound, "median_s"))
            note = f"median latency {median_s:.2f} s, {settings['clients']} clients"
            name = f"batches of at most {bound} rows, {engine}: throughput over the batcher's own"
            made.append(figure(name, found, None, "higher", "depth", note))
    return made


DEPTH = Measurement(
    "depth",
    {"rows": [2, 4, 8, 256], "default": 256, "clients": 16, "orders": 32, "steps": 10},
    None,
    measure,
    figures,
    rounds=3,
)
