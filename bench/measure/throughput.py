"""Throughput at 16 concurrent requests: every arm in a closed loop, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.arms.company import Company
from bench.figures import Figure
from bench.load import closed_loop
from bench.measure.base import Measurement, figure, rotated
from bench.orders import numbered
from bench.rounds import Round, ratios, values

NAME = "throughput"
# Arms that run one order after another are in their steady state from the first on: they need fewer of them.
ORDERS = {"diffusers": 4, "inprocess": 8, "inprocess×2": 16, "monolith": 32, "backdrop": 32}
MARKS = {"inprocess": 1.3, "inprocess×2": 0.95, "diffusers": 2.2, "monolith": None}


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Pictures a second of every arm; no order is ever sent twice."""
    found: dict[str, Any] = {}
    for name in rotated([*settings["orders"]], number):
        arm = await company.get(name)
        first, count = 1000 * number, settings["orders"][name]
        orders = [numbered(first + index, steps=settings["steps"]) for index in range(count)]
        found[name] = (await closed_loop(arm.generate, orders, settings["clients"])).throughput
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """The cluster over each other arm."""
    what = f"{settings['clients']} clients, {settings['steps']} guided steps"
    made = []
    for arm, mark in MARKS.items():
        if all(arm in one for one in rounds):
            found = ratios(rounds, ["backdrop"], [arm])
            made.append(figure(f"throughput, backdrop ÷ {arm}", found, mark, "higher", NAME, what))
    name = "throughput, backdrop, pictures a second"
    made.append(figure(name, values(rounds, "backdrop"), None, "higher", NAME, what))
    return made


THROUGHPUT = Measurement(
    NAME,
    {"clients": 16, "steps": 20, "orders": ORDERS},
    {"clients": 16, "steps": 8, "orders": {"inprocess": 4, "backdrop": 16}},
    measure,
    figures,
)
