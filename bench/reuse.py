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
import onnxruntime
from rich.console import Console

from bench.figures import ROOT, Figure, record
from orchestrator import repository
from orchestrator.cache import TwoTierCache
from orchestrator.domain import Floats, Job, MaskSource, OutputFormat
from orchestrator.imaging.decode import decode_photo
from orchestrator.lookups import RequestLookups
from orchestrator.models import Conditioning, Models, batch_of
from orchestrator.sampler import NoiseStream, combine, make_solver
from orchestrator.stages.decode import decode
from orchestrator.stages.encode import encode
from orchestrator.stages.prepare import Prepared, prepare
from orchestrator.stages.score import score
from orchestrator.tokenize import PromptTokenizers

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


class InProcess:
    """The repository's models over onnxruntime."""

    def __init__(self) -> None:
        self._sessions: dict[str, Any] = {}

    async def __call__(
        self, model: str, inputs: Mapping[str, npt.NDArray[Any]], *, request_id: str, again: bool = False
    ) -> dict[str, npt.NDArray[Any]]:
        if model not in self._sessions:
            self._sessions[model] = onnxruntime.InferenceSession(ROOT / "triton_repo" / model / "1" / "model.onnx")
        session = self._sessions[model]
        return dict(zip((each.name for each in session.get_outputs()), session.run(None, dict(inputs)), strict=True))


def job(served: repository.Repository, prompt: str, seed: int, scheduler: str) -> Job:
    """One variant of the sample product."""
    photo = decode_photo((ROOT / "examples" / "product.png").read_bytes(), max_pixels=16_000_000)
    spec = served.pipelines["backdrop"]
    return Job(
        request_id="0" * 32, pipeline=spec, photo=photo.rgb, mask=photo.alpha, mask_source=MaskSource.ALPHA,
        prompt=prompt, negative_prompt="", output_size=None, placement=None, variants=1, top_k=1, seed=seed,
        steps=STEPS, scheduler=scheduler, guidance_scale=spec.default_guidance_scale,
        output_format=OutputFormat.PNG, preview_every=0,
    )  # fmt: skip


def guided_rows(models: Models, conditioning: Conditioning, prepared: Prepared) -> dict[str, Floats]:
    """What the two rows of a step carry beside sample and timestep."""
    assert conditioning.negative is not None, "all of these are guided"
    bucket = prepared.scene.bucket
    tokens = np.zeros(models.shape("denoiser", "image_tokens"), np.float32)
    time_ids = np.array([bucket.height, bucket.width, 0, 0, bucket.height, bucket.width], np.float32)
    return {
        "mask": batch_of(*[prepared.scene_input.latent_mask] * 2),
        "masked_image_latents": batch_of(*[prepared.masked_image_latents] * 2),
        "encoder_hidden_states": batch_of(conditioning.positive.hidden_states, conditioning.negative.hidden_states),
        "text_embeds": batch_of(conditioning.positive.pooled, conditioning.negative.pooled),
        "time_ids": batch_of(time_ids, time_ids),
        "image_tokens": batch_of(tokens, tokens),
        "image_scale": np.zeros((2, 1), np.float32),
    }


async def make(asked: Job, way: Way, models: Models, conditioning: Conditioning, prepared: Prepared) -> Made:
    """Makes one picture in one way."""
    solver, noise = make_solver(asked.scheduler, asked.pipeline.schedule, way.steps), NoiseStream(asked.seed)
    constant, bucket = guided_rows(models, conditioning, prepared), prepared.scene.bucket
    shape = (4, bucket.height // 8, bucket.width // 8)
    seen: list[Floats] = []
    state, calls, fresh = solver.begin(noise.initial(shape)), 0, False
    while state.index < solver.steps:
        sample, timestep = solver.model_input(state)
        change = float(np.abs(seen[-1] - seen[-2]).mean() / np.abs(seen[-2]).mean()) if len(seen) > 1 else np.inf
        # Never twice in a row: a prediction that is reused says nothing of how far off it has become.
        if not (fresh and seen and state.index < solver.steps - 1 and way.reuses(state.index, change)):
            rows = batch_of(sample, sample)
            times = np.full((2, 1), timestep, np.float32)
            found = (await models.run("denoiser", sample=rows, timestep=times, **constant))["noise_pred"]
            seen.append(combine(found[0], found[1], asked.guidance_scale))
            calls, fresh = calls + 1, True
        else:
            fresh = False
        state = solver.step(state, seen[-1], noise.at_step(state.index, shape) if solver.needs_noise else None)
    decoded = await decode(state.sample, prepared, models)
    return Made(2 * calls, (await score(decoded, prepared, conditioning, models)).total, decoded)


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
    served = await asyncio.to_thread(repository.load, ROOT / "triton_repo", verify_files=False)
    tokenizers, infer, lookups = (
        PromptTokenizers(served),
        InProcess(),
        RequestLookups(TwoTierCache(None, memory_bytes=64 << 20, ttl_s=600)),
    )
    rows: dict[str, list[tuple[int, float, float]]] = {way.name: [] for way in WAYS}
    for prompt, seed in itertools.product(PROMPTS, SEEDS):
        asked = job(served, prompt, seed, scheduler)
        models = Models(asked.pipeline, infer, asked.request_id)
        conditioning = await encode(asked, models, tokenizers, lookups)
        prepared = await prepare(asked, models, lookups)
        made = {way.name: await make(asked, way, models, conditioning, prepared) for way in WAYS}
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
