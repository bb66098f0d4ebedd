"""The configs that the sweep proposes, all at once, beside those that are served: whole pictures, alone and in company.

The sweep looks at one component on an idle machine. What is faster there may take the cores from the others here.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.arms.company import Company, starting
from bench.arms.served import REPOSITORY, BackdropArm
from bench.figures import Figure
from bench.load import closed_loop, timed
from bench.measure.base import Measurement, figure, rotated
from bench.orders import numbered
from bench.rounds import Round, ratios
from bench.tune import config_of, proposal, trials
from bench.tuning import Config, write_repository

SERVED = "served"
# By name, whether the denoiser is configured as proposed too.
KINDS = {"all that are proposed": True, "proposed for what runs once a picture": False}


def proposals() -> dict[str, Config]:
    """By model, of what `python -m bench.tune` has measured."""
    return {model: config_of(proposal(tried)) for model, tried in trials().items()}


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


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """Pictures a second and a lone picture's seconds, with each kind of configs."""
    arms: dict[str, BackdropArm] = {SERVED: await company.backdrop()}
    for kind, all_of_them in KINDS.items():
        configs = {
            model: each for model, each in proposals().items() if all_of_them or not model.startswith("denoiser")
        }
        arm = await company.get(kind, starting(ProposedArm, configs))
        assert isinstance(arm, BackdropArm)
        arms[kind] = arm
    found: dict[str, Any] = {}
    first = 8_000_000 + 10_000 * number
    for name in rotated([*arms], number):
        alone = [numbered(first + index, steps=settings["steps"]) for index in range(3)]
        lonely_s = statistics.median([await timed(arms[name].generate, one, time.perf_counter()) for one in alone])
        orders = [numbered(first + 100 + index, steps=settings["steps"]) for index in range(settings["orders"])]
        run = await closed_loop(arms[name].generate, orders, settings["clients"])
        found[name] = {"lonely_s": lonely_s, "throughput": run.throughput}
        first += 1000
    return found


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """Each over what is served."""
    made = []
    for kind in KINDS:
        throughput = ratios(rounds, [kind, "throughput"], [SERVED, "throughput"])
        lonely = ratios(rounds, [kind, "lonely_s"], [SERVED, "lonely_s"])
        what = f"configs {kind} ÷ those that are served"
        made.append(figure(f"{what}: throughput", throughput, None, "higher", NAME, f"{settings['clients']} clients"))
        made.append(figure(f"{what}: latency of one lonely request", lonely, None, "lower", NAME))
    return made


NAME = "proposed"
PROPOSED = Measurement(NAME, {"clients": 16, "orders": 32, "steps": 20}, None, measure, figures)
