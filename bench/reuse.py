"""Does reusing a prediction at the next step pay? Its pictures beside those of fewer steps, at as many denoiser rows.

usage: python -m bench.reuse [SCHEDULER …]        (default: dpmpp_2m and ddim)

In one process over onnxruntime: what is compared are pictures, not times. Every request is made in all ways, and a
figure is the mean of the differences between two ways (docs/decisions/0020-no-reuse-of-predictions.md).
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

from backdrop.v1 import generation_service_pb2 as pb
from bench.arms.loop import Loop, denoise
from bench.arms.served import REPOSITORY
from bench.arms.sessions import Sessions
from bench.figures import ROOT, Figure, record
from orchestrator.domain import Floats, Job
from orchestrator.sampler import NoiseStream, combine
from orchestrator.stages.decode import decode
from orchestrator.stages.models import Conditioning, Infer, Models
from orchestrator.stages.prepare import Prepared
from orchestrator.stages.score import score

AREA, COMMAND = "row_savers", "python -m bench.reuse"
PROMPTS = ("a beach at sunset", "a forest in the morning", "a mountain lake on a clear day", "a city at night",
           "a desert", "a snowy field")  # fmt: skip
SEEDS = (1, 2)
SCHEDULERS = ("dpmpp_2m", "ddim")
STEPS = 20
console = Console()

Policy = Callable[[int, float], bool]
"""Whether a step, counted from 0, takes the last prediction again, by how much the last two differ."""


def every(n: int) -> Policy:
    """Each n-th step, but for the first fifth, which decides on the layout, and the last tenth, on the detail."""
    return lambda step, _: 0.2 * STEPS <= step < 0.9 * STEPS and step % n == n - 1


@dataclasses.dataclass(frozen=True)
class Way:
    """One way of spending rows, and the plain number of steps that costs about as many."""

    name: str
    steps: int
    reuses: Policy = lambda step, change: False
    rival: str = ""


WAYS = (
    Way("20 steps", 20), Way("17 steps", 17), Way("16 steps", 16), Way("15 steps", 15), Way("13 steps", 13),
    Way("every fourth reused", STEPS, every(4), "17 steps"),
    Way("every third reused", STEPS, every(3), "15 steps"),
    Way("every second reused", STEPS, every(2), "13 steps"),
    Way("reused where the last two differ by less than a tenth", STEPS, lambda _, change: change < 0.1, "16 steps"),
)  # fmt: skip


class Reusing:
    """Answers model calls, those of the denoiser now and then with its last answer, as `way` has it.

    Args:
        infer: answers all others.
        way: when the last answer is taken again.
        guidance_scale: of the predictions whose change the way looks at.
    """

    def __init__(self, infer: Infer, way: Way, guidance_scale: float) -> None:
        self._infer, self._way, self._guidance_scale = infer, way, guidance_scale
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
        # Never twice in a row: a prediction that is reused says nothing of how far off it has become.
        self._fresh = not (self._fresh and step < self._way.steps - 1 and self._way.reuses(step, self._change()))
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
    product = (ROOT / "examples" / "product.png").read_bytes()
    return pb.GenerateRequest(
        product=product,
        prompt=prompt,
        seed=seed,
        steps=STEPS,
        scheduler=f"SCHEDULER_{scheduler.upper()}",
        variants=1,
        top_k=1,
    ).SerializeToString()


async def make(asked: Job, way: Way, infer: Infer, conditioning: Conditioning, prepared: Prepared) -> Made:
    """Makes one picture in one way."""
    reusing = Reusing(infer, way, asked.guidance_scale)
    models = Models(asked.pipeline, reusing, asked.request_id)
    job = dataclasses.replace(asked, steps=way.steps)
    latents = await denoise(job, models, conditioning, prepared, NoiseStream(job.seed))
    decoded = await decode(latents, prepared, models)
    return Made(reusing.rows, (await score(decoded, prepared, conditioning, models)).total, decoded)


@dataclasses.dataclass(frozen=True)
class Made:
    """A picture, the rows that it took and its reward."""

    rows: int
    reward: float
    decoded: Floats


def decibels(one: Floats, other: Floats, scene: npt.NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio of two pictures in −1…1 over the scene."""
    return float(-10 * np.log10(max(float(np.square((one - other)[:, scene] / 2).mean()), 1e-12)))


async def measure(scheduler: str) -> list[Figure]:
    """Each way of reusing beside its rival."""
    infer = Sessions(REPOSITORY, threads=2)
    loop = Loop(REPOSITORY, infer)
    rows: dict[str, list[tuple[int, float, float]]] = {way.name: [] for way in WAYS}
    for prompt, seed in itertools.product(PROMPTS, SEEDS):
        asked, _, conditioning, prepared = await loop.begin(message(prompt, seed, scheduler))
        made = {way.name: await make(asked, way, infer, conditioning, prepared) for way in WAYS}
        for name, each in made.items():
            near = decibels(each.decoded, made["20 steps"].decoded, prepared.scene_input.mask[0] > 0.5)
            rows[name].append((each.rows, each.reward, near))
    found = {name: np.array(values) for name, values in rows.items()}
    return [_figure(scheduler, way, found[way.name], found[way.rival]) for way in WAYS if way.rival]


def _figure(scheduler: str, way: Way, ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> Figure:
    difference = ours[:, 1] - theirs[:, 1]
    spread = (
        f"± {difference.std(ddof=1) / np.sqrt(len(difference)):.4f} over {len(difference)} pictures; "
        f"{ours[:, 0].mean():.1f} rows against {theirs[:, 0].mean():.1f}; "
        f"{np.median(ours[:, 2]):.1f} dB from 20 steps against {np.median(theirs[:, 2]):.1f} dB"
    )
    value = round(float(difference.mean()), 4)
    why = "" if value >= 0 else "fewer steps spend the same rows better, so reuse is not built"
    return Figure(f"{scheduler}, {way.name}: reward above {way.rival}", value, 0, "higher", COMMAND, spread, why)


def main() -> int:
    """Measures and records; the exit status is 0 whichever way it comes out, since nothing is built on it."""
    for scheduler in sys.argv[1:] or SCHEDULERS:
        figures = asyncio.run(measure(scheduler))
        record(AREA, *figures)
        for figure in figures:
            console.print(f"{figure.name}: {figure.value:+g} ({figure.spread})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
