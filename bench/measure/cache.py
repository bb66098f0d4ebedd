"""What the embedding cache saves: the encode stage's own time, missed and hit."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from backdrop import Result, Stage
from bench.arms.pool import ArmPool
from bench.figures import Figure, at_most
from bench.measure.base import Measurement, median_figure
from bench.requests import requests
from bench.rounds import ratios


@dataclass(frozen=True)
class Settings:
    """Requests with a new prompt; each is followed by one with the same prompt."""

    requests: int


@dataclass(frozen=True)
class Round:
    """Median seconds of the encode stage."""

    miss_s: float
    hit_s: float


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """The median encode time of new prompts, and of the same prompts again for other products."""
    arm = await pool.backdrop()
    source = requests("cache", number)
    missed, hit = [], []
    for _ in range(settings.requests):
        request = source.next(steps=1)
        again = dataclasses.replace(source.next(steps=1), prompt=request.prompt)
        missed.append(encode_s(await arm.client.generate(request.task, **request.options)))
        hit.append(encode_s(await arm.client.generate(again.task, **again.options)))
    return Round(statistics.median(missed), statistics.median(hit))


def encode_s(result: Result) -> float:
    """The encode stage's seconds, by the server's clock."""
    return next(timing.duration_s for timing in result.timings if timing.stage is Stage.ENCODE)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Hit over miss."""
    values = ratios([one.hit_s for one in rounds], [one.miss_s for one in rounds])
    miss_ms = 1000 * statistics.median(one.miss_s for one in rounds)
    hit_ms = 1000 * statistics.median(one.hit_s for one in rounds)
    note = f"a miss takes {miss_ms:.1f} ms, by two small text encoders"
    reason = f"two small text encoders take little time, and a hit takes {hit_ms:.1f} ms of the event loop"
    name = "embedding cache: encode-stage time, hit ÷ miss"
    return [median_figure(name, values, at_most(0.1, reason), "cache", note)]


CACHE = Measurement("cache", Settings(12), Settings(4), Round, measure, figures)
