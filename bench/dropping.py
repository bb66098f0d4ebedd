"""Calibrates early dropping: which drafts and rounds lose how much of the reward of the pictures that come back.

usage: python -m bench.dropping [--requests N]

Finishes whole variants and drafts of them, and keeps the rewards of the drafts, of each variant's prediction after
every second step, and of the finished variant (bench/results/dropping.json; a later run continues from there). Any
schedule can then be played on them. In one process over onnxruntime, since pictures are compared and not times. The
requests are not those that `python -m bench.performance early-dropping` measures the mark with.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from backdrop import Background
from backdrop._request import build_request
from backdrop.contract.seeds import variant_seed
from bench.arms.loop import Loop
from bench.arms.sessions import Sessions
from bench.figures import ROOT, Figure, record, reported
from bench.measure.base import AREA, significant
from bench.requests import SCENES
from bench.rounds import RESULTS
from orchestrator.sampler import NoiseStream, State

COMMAND = "python -m bench.dropping"
FILE = RESULTS / "dropping.json"
STEPS, VARIANTS, TOP_K = 20, 8, 2
LOOKS = range(4, STEPS, 2)
DRAFTS = (3, 4, 5, 6, 8)
FIRST = 1000
"""The number of the first request: it and its pictures are on disk, so it is not dealt by `requests`."""
console = Console()

Array = npt.NDArray[np.float64]


class Rewards(NamedTuple):
    """Rewards of some requests' variants, each [requests, variants, …].

    Attributes:
        drafts: of pictures finished in few steps, those of `DRAFTS`.
        estimates: of the finished picture as predicted after each of `LOOKS`.
        ends: [requests, variants], of the finished picture.
    """

    drafts: Array
    estimates: Array
    ends: Array


class Schedule(NamedTuple):
    """Which variants go on.

    Attributes:
        draft: (steps, keep): the best `keep` drafts of so many steps go on; None without drafts.
        rounds: (steps, keep) in order: after so many steps the best `keep` go on.
    """

    draft: tuple[int, int] | None
    rounds: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        """As a caller writes it."""
        first = [f"{self.draft[1]} of drafts of {self.draft[0]} steps"] if self.draft else []
        return ", ".join([*first, *(f"{keep} at {after / STEPS:g}" for after, keep in self.rounds)])


async def variants(loop: Loop, number: int, steps: int, looks: Collection[int]) -> list[list[float]]:
    """By variant of a request that is finished in so many steps: the rewards of its predictions, and of its picture."""
    options = {
        "prompt": SCENES[number % len(SCENES)],
        "seed": 100 * number,
        "steps": steps,
        "variants": VARIANTS,
    }
    message = build_request(Background(ROOT / "examples" / "product.png"), options)
    request = await loop.begin(message.SerializeToString())
    result = []
    for index in range(VARIANTS):
        rewards: list[float] = []

        async def look(state: State, index: int = index, rewards: list[float] = rewards) -> None:
            if state.index in looks or state.index == steps:
                latents = state.sample if state.index == steps else state.predicted_clean
                assert latents is not None, "a step was taken"
                scores = (await request.judge(index, latents)).scores
                assert scores is not None, "the reference pipelines have a reward model"
                rewards.append(round(scores.total, 5))

        noise = NoiseStream(variant_seed(request.seed, index))
        await request.denoise(request.request.parts.sampling, noise, look)
        result.append(rewards)
    return result


async def measure(loop: Loop, number: int) -> dict[str, list[Any]]:
    """The rewards of one request's variants, by the names of `Rewards`."""
    drafts = [await variants(loop, number, steps, ()) for steps in DRAFTS]
    whole = await variants(loop, number, STEPS, LOOKS)
    return {
        "drafts": [[each[index][-1] for each in drafts] for index in range(VARIANTS)],
        "estimates": [each[:-1] for each in whole],
        "ends": [each[-1] for each in whole],
    }


def play(rewards: Rewards, schedule: Schedule) -> tuple[float, float, float]:
    """The share of row-steps saved, the mean change of the reward of the best two, and its standard error."""
    ends = rewards.ends
    running, cost, done = np.ones(ends.shape, bool), 0, 0
    if schedule.draft:
        steps, keep = schedule.draft
        cost, running = VARIANTS * steps, _keep(running, rewards.drafts[:, :, DRAFTS.index(steps)], keep)
    for after, keep in schedule.rounds:
        cost, done = cost + int(running[0].sum()) * (after - done), after
        running = _keep(running, rewards.estimates[:, :, LOOKS.index(after)], keep)
    cost += int(running[0].sum()) * (STEPS - done)
    changes = _best(np.where(running, ends, -np.inf)) - _best(ends)
    error = float(changes.std(ddof=1)) / math.sqrt(len(changes)) if len(changes) > 1 else math.inf
    return 1 - cost / (VARIANTS * STEPS), float(changes.mean()), error


def _keep(running: npt.NDArray[np.bool_], scores: Array, keep: int) -> npt.NDArray[np.bool_]:
    # By the server's rule: of equal scores the first.
    best = np.argsort(-np.where(running, scores, -np.inf), axis=1, kind="stable")[:, :keep]
    kept = np.zeros(running.shape, bool)
    np.put_along_axis(kept, best, True, axis=1)
    return kept


def _best(ends: Array) -> Array:
    means: Array = np.sort(ends, axis=1)[:, -TOP_K:].mean(axis=1)
    return means


def rounds(count: int, most: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """All sequences of so many rounds, of which the first keeps at most so many."""
    for afters in itertools.combinations(LOOKS, count):
        for keeps in itertools.combinations(range(most, TOP_K - 1, -1), count):
            yield tuple(zip(afters, keeps, strict=True))


def schedules(*, drafts: bool) -> Iterator[Schedule]:
    """Every schedule of one to three rounds; or of drafts, and at most one round after them."""
    if not drafts:
        yield from (Schedule(None, each) for count in (1, 2, 3) for each in rounds(count, VARIANTS - 1))
        return
    for draft in itertools.product(DRAFTS, range(TOP_K, VARIANTS)):
        yield from (Schedule(draft, each) for count in (0, 1) for each in rounds(count, draft[1] - 1))


def frontier(rewards: Rewards, share: float, *, drafts: bool) -> tuple[Schedule, float, float, float]:
    """Of the schedules that save so much of the row-steps, that with the least loss, and the result of `play`."""
    played = ((each, *play(rewards, each)) for each in schedules(drafts=drafts))
    return max((one for one in played if one[1] >= share), key=lambda one: one[2])


def agreement(estimates: Array, ends: Array) -> float:
    """How far estimates rank a request's variants as their ends do: the mean correlation."""
    return float(np.mean([np.corrcoef(estimate, end)[0, 1] for estimate, end in zip(estimates, ends, strict=True)]))


def figures(rewards: Rewards) -> list[Figure]:
    """What can be saved at what loss, and how well drafts and early estimates predict the end."""
    result, count = [], len(rewards.ends)
    for drafts, what in ((True, "early dropping by drafts"), (False, "early dropping half-way")):
        for share in (0.2, 0.25, 0.3, 0.35, 0.4):
            schedule, saved, change, error = frontier(rewards, share, drafts=drafts)
            spread = f"± {error:.4f}; {schedule} of {VARIANTS} saves {saved:.0%}; {count} requests"
            name = f"{what}, {share:.0%} of the row-steps saved: least change of the reward"
            result.append(Figure(name, round(change, 4), reported("higher"), COMMAND, spread))
    scores = {f"a draft of {steps} steps": rewards.drafts[:, :, place] for place, steps in enumerate(DRAFTS)}
    scores |= {
        f"an estimate after {look} of {STEPS} steps": rewards.estimates[:, :, place] for place, look in enumerate(LOOKS)
    }
    for what, estimates in scores.items():
        name = f"early dropping: correlation of the reward of {what} with the end's"
        value, spread = significant(agreement(estimates, rewards.ends)), f"within a request, mean of {count}"
        result.append(Figure(name, value, reported("higher"), COMMAND, spread))
    return result


async def collect(count: int) -> Rewards:
    """The rewards of so many requests; those of earlier runs are read from disk."""
    kept: list[dict[str, list[Any]]] = json.loads(FILE.read_text()) if FILE.is_file() else []
    repository = ROOT / "triton_repo"
    loop = Loop(repository, Sessions(repository, 2))
    for number in track(range(len(kept), count), "requests", console=console):
        kept.append(await measure(loop, FIRST + number))
        FILE.write_text("[\n" + ",\n".join(json.dumps(one) for one in kept) + "\n]\n")
    return Rewards(*(np.array([one[name] for one in kept[:count]]) for name in Rewards._fields))


def main() -> int:
    """Collects, plays every schedule and records the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=24, help="how many, of eight variants each (default: 24)")
    every = figures(asyncio.run(collect(parser.parse_args().requests)))
    record(AREA, *every)
    for figure in every:
        console.print(str(figure))
    return 0


if __name__ == "__main__":
    sys.exit(main())
