"""Throughput at 16 concurrent requests: every arm in a closed loop, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.arms.pool import ArmPool
from bench.figures import Figure, Mark, at_least, reported
from bench.load import closed_loop
from bench.measure.base import Measurement, median_figure, rotated
from bench.requests import requests
from bench.rounds import ratios

NAME = "throughput"


@dataclass(frozen=True)
class Settings:
    """Concurrent clients, steps of a request, and requests by arm."""

    clients: int
    steps: int
    requests: Mapping[str, int]


@dataclass(frozen=True)
class Round:
    """Pictures a second by arm."""

    pictures_s: dict[str, float]


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Pictures a second of every arm, all of them on the same requests."""
    batch = requests(NAME, number).take(max(settings.requests.values()), steps=settings.steps)
    pictures_s = {}
    for name in rotated([*settings.requests], number):
        arm = await pool.get(name)
        result = await closed_loop(arm.generate, batch[: settings.requests[name]], settings.clients)
        pictures_s[name] = result.throughput
    return Round(pictures_s)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """The cluster over each other arm."""
    note = f"{settings.clients} clients, {settings.steps} guided steps"
    ours = _of(rounds, "backdrop")
    result = []
    for arm, mark in _marks(rounds).items():
        if all(arm in one.pictures_s for one in rounds):
            values = ratios(ours, _of(rounds, arm))
            result.append(median_figure(f"throughput, backdrop ÷ {arm}", values, mark, NAME, note))
    name = "throughput, backdrop, pictures a second"
    return [*result, median_figure(name, ours, reported("higher"), NAME, note)]


def _of(rounds: Sequence[Round], arm: str) -> list[float]:
    return [one.pictures_s[arm] for one in rounds]


def _marks(rounds: Sequence[Round]) -> dict[str, Mark]:
    """By arm; a reason that compares two other arms reads it from the same rounds."""

    def over_inprocess(arm: str) -> str:
        usable = [one for one in rounds if {arm, "inprocess"} <= set(one.pictures_s)]
        return f"{statistics.median(ratios(_of(usable, arm), _of(usable, 'inprocess'))):.2f}" if usable else "unknown"

    return {
        "inprocess": at_least(
            1.3,
            f"two processes without any server reach {over_inprocess('inprocess×2')} of inprocess on this machine, so"
            " the mark would need serving at no cost",
        ),
        "inprocess×2": at_least(
            0.95,
            "both cores are busy all the time: the graphs take most of it, and what is missing goes to the orchestrator"
            " (PNG encoding, event loop, gRPC, batcher) and to Triton",
        ),
        "diffusers": at_least(
            2.2,
            f"torch reaches {over_inprocess('diffusers')} of inprocess on this machine, more than where the mark was"
            " set",
        ),
        "monolith": reported("higher"),
    }


THROUGHPUT = Measurement(
    NAME,
    # Arms that run one request after another are in their steady state from the first on: they need fewer of them.
    Settings(16, 20, {"diffusers": 4, "inprocess": 8, "inprocess×2": 16, "monolith": 32, "backdrop": 32}),
    Settings(16, 8, {"inprocess": 4, "backdrop": 16}),
    Round,
    measure,
    figures,
)
