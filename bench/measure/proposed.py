"""The configs that `bench.tune` proposes, all at once, against the served ones: whole pictures, alone and under load.

The sweep looks at one model on an idle machine. What is faster there may take the cores from the others here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.arms.pool import ArmPool, starting
from bench.arms.served import REPOSITORY, BackdropArm
from bench.figures import Figure, reported
from bench.load import closed_loop, solo_s
from bench.measure.base import Measurement, median_figure, rotated
from bench.requests import requests
from bench.rounds import ratios
from bench.tune import Config, proposal, trials_by_model, write_repository

NAME = "proposed"
SERVED = "served"
KINDS = {"all that are proposed": True, "proposed for what runs once a picture": False}
"""By name, whether the denoiser is configured as proposed too."""


@dataclass(frozen=True)
class Settings:
    """Concurrent clients, requests and their steps."""

    clients: int
    requests: int
    steps: int


@dataclass(frozen=True)
class Speed:
    """Seconds of a lone request, and pictures a second under load."""

    lonely_s: float
    throughput: float


@dataclass(frozen=True)
class Round:
    """By kind of configs, `SERVED` among them."""

    kinds: dict[str, Speed]


class ProposedArm(BackdropArm):
    """The cluster over a copy of the repository with other configs."""

    def __init__(self, configs: Mapping[str, Config]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="backdrop-proposed-")
        super().__init__(
            "backdrop, proposed", write_repository(REPOSITORY, Path(self._folder.name) / "repository", configs)
        )

    async def close(self) -> None:
        """Stops the cluster."""
        await super().close()
        self._folder.cleanup()


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Pictures a second and a lone picture's seconds, with each kind of configs."""
    proposals = {model: proposal(trials).config for model, trials in trials_by_model().items()}
    arms: dict[str, BackdropArm] = {SERVED: await pool.backdrop()}
    for kind, all_of_them in KINDS.items():
        configs = {
            model: config for model, config in proposals.items() if all_of_them or not model.startswith("denoiser")
        }
        arm = await pool.get(kind, starting(ProposedArm, configs))
        assert isinstance(arm, BackdropArm)
        arms[kind] = arm
    kinds, source = {}, requests(NAME, number)
    for name in rotated([*arms], number):
        lonely_s = await solo_s(arms[name].generate, source.take(3, steps=settings.steps))
        batch = source.take(settings.requests, steps=settings.steps)
        result = await closed_loop(arms[name].generate, batch, settings.clients)
        kinds[name] = Speed(lonely_s, result.throughput)
    return Round(kinds)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """Each kind over the served configs."""
    result = []
    served = [one.kinds[SERVED] for one in rounds]
    for kind in KINDS:
        speeds = [one.kinds[kind] for one in rounds]
        throughput = ratios([speed.throughput for speed in speeds], [speed.throughput for speed in served])
        lonely = ratios([speed.lonely_s for speed in speeds], [speed.lonely_s for speed in served])
        name, note = f"configs {kind} ÷ those that are served", f"{settings.clients} clients"
        result.append(median_figure(f"{name}: throughput", throughput, reported("higher"), NAME, note))
        result.append(median_figure(f"{name}: latency of one lonely request", lonely, reported("lower"), NAME))
    return result


PROPOSED = Measurement(NAME, Settings(16, 32, 20), None, Round, measure, figures)
