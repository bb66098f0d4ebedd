"""One request and nobody else: its latency by arm, and when its first preview comes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from backdrop import StepProgress
from bench.arms.company import Company
from bench.arms.served import BackdropArm, fields
from bench.figures import Figure
from bench.load import timed
from bench.measure.base import Measurement, figure, rotated
from bench.orders import Order, numbered
from bench.rounds import Round, ratios, values


async def measure_lonely(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The median latency of a few orders, the arms taking turns after each."""
    seconds: dict[str, list[float]] = {name: [] for name in settings["arms"]}
    arms = {name: await company.get(name) for name in settings["arms"]}
    for index in range(settings["orders"]):
        order = numbered(100_000 + 1000 * number + index, steps=settings["steps"])
        for name in rotated(settings["arms"], number + index):
            seconds[name].append(await timed(arms[name].generate, order, time.perf_counter()))
    return {name: statistics.median(values) for name, values in seconds.items()}


def lonely_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Latencies over the local floor's."""
    what = f"{settings['steps']} guided steps"
    made = []
    for arm, mark in (("backdrop", 1.15), ("monolith", None), ("diffusers", None)):
        if arm in settings["arms"]:
            found, name = ratios(rounds, [arm], ["inprocess"]), f"one lonely request, latency, {arm} ÷ inprocess"
            made.append(figure(name, found, mark, "lower", "lonely", what))
    name = "one lonely request, backdrop, seconds"
    made.append(figure(name, values(rounds, "backdrop"), None, "lower", "lonely", what))
    return made


async def measure_preview(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """First preview over whole latency of a lone request that asks for one after every step."""
    arm = await company.backdrop()
    first = 200_000 + 1000 * number
    orders = [numbered(first + index, steps=settings["steps"]) for index in range(settings["orders"])]
    shares = [await first_preview(arm, order) for order in orders]
    return {"share": statistics.median(shares)}


async def first_preview(arm: BackdropArm, order: Order) -> float:
    """When the first preview arrived, as a share of the time until the pictures did."""
    begin, first = time.perf_counter(), 0.0
    async with arm.client.generate(order.product_file, **fields(order), preview_every=1) as generation:
        async for event in generation:
            if not first and isinstance(event, StepProgress) and event.preview:
                first = time.perf_counter() - begin
    assert first, "previews were asked for"
    return first / (time.perf_counter() - begin)


def preview_figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """The one figure."""
    name, what = "client-visible first preview ÷ whole latency", f"{settings['steps']} guided steps"
    return [figure(name, values(rounds, "share"), 0.2, "lower", "preview", what)]


LONELY = Measurement(
    "lonely",
    {"arms": ["inprocess", "backdrop", "monolith", "diffusers"], "steps": 20, "orders": 3},
    {"arms": ["inprocess", "backdrop"], "steps": 8, "orders": 2},
    measure_lonely,
    lonely_figures,
)
PREVIEW = Measurement(
    "preview", {"steps": 20, "orders": 3}, {"steps": 20, "orders": 1}, measure_preview, preview_figures
)
