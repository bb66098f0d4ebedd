"""What the embedding cache is worth: the encode stage's own time, missed and hit."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from backdrop import Result, Stage
from bench.arms.company import Company
from bench.arms.served import fields
from bench.figures import Figure
from bench.measure.base import Measurement, figure
from bench.orders import numbered
from bench.rounds import Round, ratios, values


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The median encode time of prompts that are new, and of the same prompts again for other products."""
    arm = await company.backdrop()
    first = 700_000 + 1000 * number
    missed, hit = [], []
    for index in range(settings["orders"]):
        order = numbered(first + index, steps=1)
        again = dataclasses.replace(numbered(first + 500 + index, steps=1), prompt=order.prompt)
        missed.append(encode_s(await arm.client.generate(order.product_file, **fields(order))))
        hit.append(encode_s(await arm.client.generate(again.product_file, **fields(again))))
    return {"miss_s": statistics.median(missed), "hit_s": statistics.median(hit)}


def encode_s(result: Result) -> float:
    """The encode stage's seconds, by the server's clock."""
    return next(timing.duration_s for timing in result.timings if timing.stage is Stage.ENCODE)


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Hit over miss."""
    found = ratios(rounds, ["hit_s"], ["miss_s"])
    milliseconds = statistics.median(values(rounds, "miss_s")) * 1000
    what = f"a miss takes {milliseconds:.1f} ms, by two small text encoders"
    return [figure("embedding cache: encode-stage time, hit ÷ miss", found, 0.1, "lower", "cache", what)]


CACHE = Measurement("cache", {"orders": 12}, {"orders": 4}, measure, figures)
