"""Exactness through a real cluster: the product's pixels, the bytes of whole pictures, and the denoiser's rows."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc.aio import InferenceServerClient

from backdrop import AsyncClient, Background, Box, Fit, Result
from backdrop.contract.cutouts import resize_cutout
from backdrop.contract.geometry import Size, bounding_box
from bench.arms.pool import ArmPool
from bench.arms.served import REPOSITORY
from bench.figures import Figure, at_most
from bench.measure.base import Measurement, command
from bench.model_rows import Arrays, infer, random_rows
from bench.triton_statistics import TritonStatistics
from tests.pictures import ellipse_mask, encoded, noisy_photo

_OUTPUT = "noise_pred"
PHOTOS = ((96, 96), (301, 200), (640, 480), (127, 333), (1500, 1000))
PLACINGS: tuple[tuple[tuple[int, int] | None, Fit | Box | None], ...] = (
    (None, None),
    (None, Fit(padding=0.1)),
    ((320, 200), None),
    ((200, 333), Fit(padding=0.3, horizontal="left", vertical="bottom")),
    ((800, 800), Box(x=100, y=37, width=333, height=500)),
)


async def worst_product_difference(endpoint: str) -> tuple[int, int, int]:
    """Sends every photo size × placement with a hard mask; returns (largest difference, wrong receipts, pictures)."""
    worst = wrong = cases = 0
    async with AsyncClient(endpoint, timeout_s=300) as client:
        for (width, height), (size, placement) in itertools.product(PHOTOS, PLACINGS):
            photo, mask = noisy_photo(width, height), ellipse_mask(width, height)
            result = await client.generate(
                Background(encoded(photo), encoded(mask), placement),
                prompt="a beach",
                steps=1,
                seed=width,
                output_size=size,
            )
            difference, compared = product_difference(photo, mask, result)
            receipt = result.pictures[0].receipt
            assert receipt is not None, "a background keeps its product"
            worst, cases = max(worst, difference), cases + 1
            wrong += (receipt.max_difference, receipt.compared_pixels) != (difference, compared)
    return worst, wrong, cases


def product_difference(
    photo: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    mask: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    result: Result,
) -> tuple[int, int]:
    """Recomputes a receipt from the bytes of the best picture: (largest difference, compared pixels)."""
    picture = result.pictures[0]
    cutout = bounding_box(mask)
    assert picture.receipt is not None
    assert cutout is not None
    box = picture.receipt.known_box
    cut = np.s_[cutout.y : cutout.y + cutout.height, cutout.x : cutout.x + cutout.width]
    placed = np.dstack([photo[cut], mask[cut]])
    if (box.width, box.height) != (cutout.width, cutout.height):
        placed = resize_cutout(placed, Size(box.width, box.height))
    out = np.asarray(picture.image().convert("RGB"))[box.y : box.y + box.height, box.x : box.x + box.width]
    opaque = placed[..., 3] == 255
    difference = np.abs(out[opaque].astype(int) - placed[..., :3][opaque].astype(int))
    return int(difference.max(initial=0)), int(opaque.sum())


async def changed_pictures(endpoint: str) -> tuple[int, int]:
    """Returns (pictures whose bytes changed, pictures compared): alone, among 8, and by their own seed."""
    task = Background(encoded(noisy_photo(256, 256)), encoded(ellipse_mask(256, 256, soft=True)))
    changed = compared = 0
    async with AsyncClient(endpoint, timeout_s=300) as client:

        async def make(**changes: Any) -> dict[int, tuple[int, bytes]]:
            options: dict[str, Any] = {"prompt": "a beach at sunset", "variants": 3, "steps": 8, "seed": 42, **changes}
            result = await client.generate(task, **options)
            return {picture.variant: (picture.seed, picture.data) for picture in result.pictures}

        for scheduler in ("dpmpp_2m", "ddim", "euler", "ddpm"):
            alone = await make(scheduler=scheduler)
            others = [make(prompt="a city at night", seed=seed, steps=4 + seed, scheduler="ddpm") for seed in range(7)]
            among, *_ = await asyncio.gather(make(scheduler=scheduler), *others)
            for variant, (seed, data) in alone.items():
                again = await make(scheduler=scheduler, seed=seed, variants=1)
                changed += (among[variant][1] != data) + (again[0][1] != data)
                compared += 2
    return changed, compared


@dataclass(frozen=True)
class Settings:
    """A denoiser's model, and rows per round."""

    model: str
    rows: int


@dataclass(frozen=True)
class Round:
    """The largest difference of a row in a batch from the same row alone, and how many rows met in an execution."""

    difference: float
    rows_per_execution: float


async def measure(pool: ArmPool, number: int, settings: Settings) -> Round:
    """Rows at different timesteps through Triton, one after another and then all at once."""
    endpoint, model = (await pool.backdrop()).cluster.endpoints.triton[0], settings.model
    entry = json.loads((REPOSITORY / "pipeline.json").read_text())["models"][model]
    batch = random_rows(entry, settings.rows, seed=number)
    rows: list[Arrays] = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(settings.rows)]
    client = InferenceServerClient(endpoint)
    async with TritonStatistics((endpoint,)) as statistics:
        alone = np.concatenate([await infer(client, model, row, _OUTPUT) for row in rows])
        before = await statistics.work(model)
        together = np.concatenate(await asyncio.gather(*(infer(client, model, row, _OUTPUT) for row in rows)))
        work = await statistics.work(model) - before
    await client.close()
    return Round(float(np.abs(alone - together).max()), work.rows / work.executions)


def figures(rounds: Sequence[Round], settings: Settings) -> list[Figure]:
    """The worst of all rounds."""
    worst = max(one.difference for one in rounds)
    rows = max(one.rows_per_execution for one in rounds)
    spread = f"worst of {len(rounds) * settings.rows} rows at all timesteps, up to {rows:.1f} rows an execution"
    return [Figure("max difference of latents, batched against alone", worst, at_most(0), command("exact"), spread)]


EXACT = Measurement("exact", Settings("denoiser", 16), Settings("denoiser", 8), Round, measure, figures)
