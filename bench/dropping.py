"""Calibrates early dropping: which rounds lose how much of the reward of the pictures that come back.

usage: python -m bench.dropping [--orders N]

Makes whole variants, and keeps the reward of what each was becoming after every second step beside the reward of what
it became (bench/results/dropping.json; a later run goes on from there). Any schedule of rounds can then be played on
them. In one process over onnxruntime: what is compared are pictures, not times. Orders are other ones than those that
`python -m bench.performance early-dropping` measures the mark with.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from backdrop.v1 import generation_service_pb2 as pb
from bench.arms.loop import Loop, denoise
from bench.arms.sessions import Sessions
from bench.figures import ROOT, Figure, record
from bench.measure.base import AREA, significant
from bench.orders import SCENES
from bench.rounds import RESULTS
from orchestrator.sampler import NoiseStream, State, variant_seed
from orchestrator.stages.decode import decode
from orchestrator.stages.score import score

COMMAND = "python -m bench.dropping"
FILE = RESULTS / "dropping.json"
STEPS, VARIANTS, TOP_K = 20, 8, 2
LOOKS = range(4, STEPS, 2)
FIRST = 1000
console = Console()

Rounds = tuple[tuple[int, int], ...]
"""(after so many steps, so many go on), in order."""
Rewards = npt.NDArray[np.float64]
"""[orders, variants, looks + 1]: of the estimates, and last of the finished picture."""


async def order(loop: Loop, number: int) -> list[list[float]]:
    """The rewards of one order's variants, look by look."""
    request = pb.GenerateRequest(
        product=(ROOT / "examples" / "product.png").read_bytes(), prompt=SCENES[number % len(SCENES)],
        seed=100 * number, steps=STEPS, variants=VARIANTS,
    )  # fmt: skip
    job, models, conditioning, prepared = await loop.begin(request.SerializeToString())
    found = []
    for index in range(VARIANTS):
        rewards: list[float] = []

        async def look(state: State, rewards: list[float] = rewards) -> None:
            if state.index in LOOKS or state.index == STEPS:
                latents = state.sample if state.index == STEPS else state.predicted_clean
                assert latents is not None, "a step was taken"
                decoded = await decode(latents, prepared, models)
                rewards.append(round((await score(decoded, prepared, conditioning, models)).total, 5))

        noise = NoiseStream(variant_seed(job.seed, index))
        await denoise(job, models, conditioning, prepared, noise, look)
        found.append(rewards)
    return found


def play(rewards: Rewards, rounds: Rounds) -> tuple[float, float, float]:
    """The share of row-steps saved, the mean change of the reward of the best two, and its standard error."""
    ends = rewards[:, :, -1]
    left, cost, done = np.ones(ends.shape, bool), 0, 0
    for after, keep in rounds:
        cost, done = cost + int(left[0].sum()) * (after - done), after
        estimates = np.where(left, rewards[:, :, LOOKS.index(after)], -np.inf)
        # By the server's rule: of equal scores the first.
        best = np.argsort(-estimates, axis=1, kind="stable")[:, :keep]
        left = np.zeros(ends.shape, bool)
        np.put_along_axis(left, best, True, axis=1)
    cost += int(left[0].sum()) * (STEPS - done)
    changes = _best(np.where(left, ends, -np.inf)) - _best(ends)
    error = float(changes.std(ddof=1)) / math.sqrt(len(changes)) if len(changes) > 1 else math.inf
    return 1 - cost / (VARIANTS * STEPS), float(changes.mean()), error


def _best(ends: Rewards) -> Rewards:
    means: Rewards = np.sort(ends, axis=1)[:, -TOP_K:].mean(axis=1)
    return means


def schedules() -> Iterator[Rounds]:
    """Every schedule of one to three rounds."""
    for count in (1, 2, 3):
        for afters in itertools.combinations(LOOKS, count):
            for keeps in itertools.combinations(range(VARIANTS - 1, TOP_K - 1, -1), count):
                yield tuple(zip(afters, keeps, strict=True))


def frontier(rewards: Rewards, share: float) -> tuple[Rounds, float, float, float]:
    """The schedule that loses least of those that save so much of the row-steps, and what `play` says of it."""
    played = ((rounds, *play(rewards, rounds)) for rounds in schedules())
    return max((one for one in played if one[1] >= share), key=lambda one: one[2])


def agreement(rewards: Rewards, look: int) -> float:
    """How far estimates after so many steps order an order's variants as their ends do: the mean correlation."""
    pairs = zip(rewards[:, :, LOOKS.index(look)], rewards[:, :, -1], strict=True)
    return float(np.mean([np.corrcoef(estimate, end)[0, 1] for estimate, end in pairs]))


def told(rounds: Rounds) -> str:
    """As a caller writes it."""
    return ", ".join(f"{keep} at {after / STEPS:g}" for after, keep in rounds)


def figures(rewards: Rewards) -> list[Figure]:
    """What can be saved at what loss, and how well early estimates tell."""
    made = []
    for share in (0.2, 0.25, 0.3, 0.35, 0.4):
        rounds, saved, change, error = frontier(rewards, share)
        spread = f"± {error:.4f}; {told(rounds)} of {VARIANTS} saves {saved:.0%}; {len(rewards)} orders"
        name = f"early dropping that saves {share:.0%} of the row-steps: least change of the reward"
        made.append(Figure(name, round(change, 4), None, "higher", COMMAND, spread))
    for look in LOOKS:
        name = f"early dropping: correlation of an estimate's reward with the end's, after {look} of {STEPS} steps"
        spread = f"within an order, mean of {len(rewards)}"
        made.append(Figure(name, significant(agreement(rewards, look)), None, "higher", COMMAND, spread))
    return made


async def collect(count: int) -> Rewards:
    """The rewards of so many orders; those of earlier runs are not made again."""
    kept: list[list[list[float]]] = json.loads(FILE.read_text()) if FILE.is_file() else []
    repository = ROOT / "triton_repo"
    loop = Loop(repository, Sessions(repository, 2))
    for number in track(range(len(kept), count), "orders", console=console):
        kept.append(await order(loop, FIRST + number))
        FILE.write_text("[\n" + ",\n".join(json.dumps(one) for one in kept) + "\n]\n")
    return np.array(kept[:count])


def main() -> int:
    """Collects, plays every schedule and records the best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=24, help="how many, of eight variants each (default: 24)")
    made = figures(asyncio.run(collect(parser.parse_args().orders)))
    record(AREA, *made)
    for figure in made:
        console.print(f"{figure.name}: {figure.value:g} ({figure.spread})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
