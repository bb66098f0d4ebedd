"""Whether it pays to reuse a prediction at the next step: its pictures against those of fewer steps, at as many rows.

usage: python -m bench.reuse [SCHEDULER …]        (default: dpmpp_2m and ddim)

In one process over onnxruntime, since pictures are compared and not times. Every request runs with all policies, and a
figure is the mean of the differences between two of them (docs/decisions/0020-no-reuse-of-predictions.md).
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from backdrop import Background
from backdrop._request import build_request
from bench.arms.loop import Loop, LoopRequest
from bench.arms.served import REPOSITORY
from bench.arms.sessions import Sessions
from bench.figures import ROOT, Figure, at_least, record
from orchestrator.arrays import Bytes
from orchestrator.sampler import NoiseStream, combine
from orchestrator.stages.models import Infer, Models

AREA, COMMAND = "row_savers", "python -m bench.reuse"
PROMPTS = ("a beach at sunset", "a forest in the morning", "a mountain lake on a clear day", "a city at night",
           "a desert", "a snowy field")  # fmt: skip
SEEDS = (1, 2)
SCHEDULERS = ("dpmpp_2m", "ddim")
STEPS = 20
console = Console()

Rule = Callable[[int, float], bool]
"""Whether a step, counted from 0, takes the last prediction again, by how much the last two differ."""


def every(n: int) -> Rule:
    """Each n-th step, except in the first fifth, which decides the layout, and in the last tenth: the detail."""
    return lambda step, _: 0.2 * STEPS <= step < 0.9 * STEPS and step % n == n - 1


@dataclasses.dataclass(frozen=True)
class Policy:
    """How rows are spent, and the name of the plain number of steps that costs about as many."""

    name: str
    steps: int
    reuses: Rule = lambda step, change: False
    rival: str = ""


POLICIES = (
    *(Policy(f"{steps} steps", steps) for steps in (20, 17, 16, 15, 13)),
    Policy("every fourth reused", STEPS, every(4), "17 steps"),
    Policy("every third reused", STEPS, every(3), "15 steps"),
    Policy("every second reused", STEPS, every(2), "13 steps"),
    Policy("reused where the last two differ by less than a tenth", STEPS, lambda _, change: change < 0.1, "16 steps"),
)


class PredictionReuse:
    """Answers model calls; some of the denoiser's with its last answer.

    Args:
        infer: answers all others.
        policy: when the last answer is taken again.
        guidance_scale: of the predictions whose change the policy looks at.
    """

    def __init__(self, infer: Infer, policy: Policy, guidance_scale: float) -> None:
        self._infer, self._policy, self._guidance_scale = infer, policy, guidance_scale
        self._seen: list[dict[str, npt.NDArray[Any]]] = []
        self._step, self._fresh = 0, False
        self.rows = 0
        """Of the denoiser, so far."""

    async def __call__(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str, again: bool = False
    ) -> dict[str, npt.NDArray[Any]]:
        """Answers a call."""
        if model != "denoiser":
            return await self._infer(model, inputs, request_id=request_id, again=again)
        step, self._step = self._step, self._step + 1
        # Never twice in a row: the error of a reused prediction is not visible.
        self._fresh = not (self._fresh and step < self._policy.steps - 1 and self._policy.reuses(step, self._change()))
        if self._fresh:
            self._seen.append(await self._infer(model, inputs, request_id=request_id, again=again))
            self.rows += len(inputs["sample"])
        return self._seen[-1]

    def _change(self) -> float:
        if len(self._seen) < 2:
            return np.inf
        before, last = (
            combine(answer["noise_pred"][0], answer["noise_pred"][1], self._guidance_scale)
            for answer in self._seen[-2:]
        )
        return float(np.abs(last - before).mean() / np.abs(before).mean())


def message(prompt: str, seed: int, scheduler: str) -> bytes:
    """One variant of the sample product, as a serialized GenerateRequest."""
    task = Background(ROOT / "examples" / "product.png")
    options = {"prompt": prompt, "seed": seed, "steps": STEPS, "scheduler": scheduler}
    return build_request(task, options).SerializeToString()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A picture, the denoiser rows that it took, and its reward."""

    rows: int
    reward: float
    scene: Bytes


async def run(request: LoopRequest, policy: Policy, infer: Infer) -> Outcome:
    """One picture with one policy."""
    sampling = dataclasses.replace(request.request.parts.sampling, steps=policy.steps)
    reuse = PredictionReuse(infer, policy, sampling.guidance_scale)
    models = Models(request.models.pipeline, reuse, request.models.request_id)
    changed = dataclasses.replace(request, models=models)
    variant = await changed.judge(0, await changed.denoise(sampling, NoiseStream(request.seed)))
    assert variant.scores is not None, "the reference pipelines have a reward model"
    assert variant.scene is not None, "models made it"
    return Outcome(reuse.rows, variant.scores.total, variant.scene)


def decibels(one: Bytes, other: Bytes, inside: npt.NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio of two pictures [H, W, 3] over the pixels inside the mask."""
    difference = (one.astype(np.float64) - other)[inside] / 255
    return float(-10 * np.log10(max(float(np.square(difference).mean()), 1e-12)))


async def measure(scheduler: str) -> list[Figure]:
    """Each policy that reuses, against its rival."""
    infer = Sessions(REPOSITORY, threads=2)
    loop = Loop(REPOSITORY, infer)
    rows: dict[str, list[tuple[int, float, float]]] = {policy.name: [] for policy in POLICIES}
    for prompt, seed in itertools.product(PROMPTS, SEEDS):
        request = await loop.begin(message(prompt, seed, scheduler))
        outcomes = {policy.name: await run(request, policy, infer) for policy in POLICIES}
        for name, outcome in outcomes.items():
            near = decibels(outcome.scene, outcomes["20 steps"].scene, request.prepared.view.mask[0] > 0.5)
            rows[name].append((outcome.rows, outcome.reward, near))
    arrays = {name: np.array(values) for name, values in rows.items()}
    return [
        _figure(scheduler, policy, arrays[policy.name], arrays[policy.rival]) for policy in POLICIES if policy.rival
    ]


def _figure(scheduler: str, policy: Policy, ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> Figure:
    difference = ours[:, 1] - theirs[:, 1]
    spread = (
        f"± {difference.std(ddof=1) / np.sqrt(len(difference)):.4f} over {len(difference)} pictures; "
        f"{ours[:, 0].mean():.1f} rows against {theirs[:, 0].mean():.1f}; "
        f"{np.median(ours[:, 2]):.1f} dB from 20 steps against {np.median(theirs[:, 2]):.1f} dB"
    )
    mark = at_least(0, "fewer steps spend the same rows better, so reuse is not built")
    name = f"{scheduler}, {policy.name}: reward above {policy.rival}"
    return Figure(name, round(float(difference.mean()), 4), mark, COMMAND, spread)


def main() -> int:
    """Measures and records; the exit status is always 0, since nothing is built on the result."""
    for scheduler in sys.argv[1:] or SCHEDULERS:
        figures = asyncio.run(measure(scheduler))
        record(AREA, *figures)
        for figure in figures:
            console.print(str(figure))
    return 0


if __name__ == "__main__":
    sys.exit(main())
