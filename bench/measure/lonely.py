"""One request and no other: its latency by arm, and when its first preview comes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from backdrop import StepProgress
from bench.arms.pool import ArmPool
from bench.arms.served import BackdropArm
from bench.figures import Figure, at_most, reported
from bench.load import timed
from bench.measure.base import Measurement, median_figure, rotated
from bench.requests import BenchRequest, requests
from bench.rounds import ratios


@dataclass(frozen=True)
class Settings:
    """The arms, steps of a request, and requests per arm."""

    arms: tuple[str, ...]
    steps: int
    requests: int


@dataclass(frozen=True)
class Round:
    """Median latency by arm, in seconds."""

    latency_s: dict[str, float]


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """The median latency of a few requests, the arms taking turns after each."""
    seconds: dict[str, list[float]] = {name: [] for name in settings.arms}
    arms = {name: await pool.get(name) for name in settings.arms}
    for index, request in enumerate(requests("lonely", number).take(settings.requests, steps=settings.steps)):
        for name in rotated(settings.arms, number + index):
            seconds[name].append(await timed(arms[name].generate, request, time.perf_counter()))
    return Round({name: statistics.median(values) for name, values in seconds.items()})


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Latencies over that of the loop in one process."""
    note = f"{settings.steps} guided steps"
    by_arm = {arm: [one.latency_s[arm] for one in rounds] for arm in settings.arms}
    result = []
    for arm, mark in (("backdrop", at_most(1.15)), ("monolith", reported("lower")), ("diffusers", reported("lower"))):
        if arm in by_arm:
            values = ratios(by_arm[arm], by_arm["inprocess"])
            result.append(
                median_figure(f"one lonely request, latency, {arm} ÷ inprocess", values, mark, "lonely", note)
            )
    name = "one lonely request, backdrop, seconds"
    return [*result, median_figure(name, by_arm["backdrop"], reported("lower"), "lonely", note)]


@dataclass(frozen=True)
class PreviewSettings:
    """Steps of a request, and requests."""

    steps: int
    requests: int


@dataclass(frozen=True)
class PreviewRound:
    """The first preview's time over the whole latency, the median of some requests."""

    share: float


async def measure_preview(pool: ArmPool, number: int, settings: PreviewSettings) -> PreviewRound:
    """First preview over whole latency of a lone request that asks for one after every step."""
    arm = await pool.backdrop()
    batch = requests("preview", number).take(settings.requests, steps=settings.steps)
    return PreviewRound(statistics.median([await first_preview(arm, request) for request in batch]))


async def first_preview(arm: BackdropArm, request: BenchRequest) -> float:
    """When the first preview arrived, as a share of the time until the pictures did."""
    begin, first = time.perf_counter(), 0.0
    async with arm.client.generate(request.task, **request.options, preview_every=1) as generation:
        async for event in generation:
            if not first and isinstance(event, StepProgress) and event.preview:
                first = time.perf_counter() - begin
    assert first, "the request asked for previews"
    return first / (time.perf_counter() - begin)


def preview_figures(rounds: Sequence[PreviewRound], settings: PreviewSettings) -> list[Figure]:
    """The one figure."""
    name, note = "client-visible first preview ÷ whole latency", f"{settings.steps} guided steps"
    return [median_figure(name, [one.share for one in rounds], at_most(0.2), "preview", note)]


LONELY = Measurement(
    "lonely",
    Settings(("inprocess", "backdrop", "monolith", "diffusers"), 20, 3),
    Settings(("inprocess", "backdrop"), 8, 2),
    Round,
    measure,
    figures,
)
PREVIEW = Measurement(
    "preview", PreviewSettings(20, 3), PreviewSettings(20, 1), PreviewRound, measure_preview, preview_figures
)
