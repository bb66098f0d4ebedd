"""Requests of different tasks at once, through the cluster: their pictures against those of each request alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import backdrop
from bench.figures import Figure, at_least, at_most
from bench.holes import box_around
from bench.scene_products import cutout_of, png
from bench.task_judges import SIDE, Held, held
from bench.triton_statistics import TritonStatistics, Work
from local.cluster import Cluster, Options

ROUNDS = 4
_STEPS = 8
_MODEL = "denoiser"
Request = tuple[backdrop.Task, dict[str, Any]]


def mixed(command: str) -> list[Figure]:
    """Rounds of a request of each sampled task, and one of four steps, in one bucket; alone first, then at once."""
    differing, count, work = asyncio.run(_rounds())
    rows = work.rows / work.executions
    spread = f"{count} pictures, {_STEPS} steps and of backdrop-fast 4; {rows:.1f} rows in a batch"
    name = "mixed tasks at once against each alone: "
    return [
        Figure(f"{name}pictures whose bytes differ", differing, at_most(0), command, spread),
        Figure(f"{name}rows in a batch of the denoiser, mean", round(rows, 2), at_least(2.0), command, spread),
    ]


async def _rounds() -> tuple[int, int, Work]:
    differing, count, work = 0, 0, Work()
    with (
        tempfile.TemporaryDirectory(prefix="backdrop-mixed-") as folder,
        Cluster(Options(port=0, log_folder=Path(folder))) as cluster,
    ):
        async with (
            backdrop.AsyncClient(cluster.endpoints.orchestrator, timeout_s=600.0) as client,
            TritonStatistics(cluster.endpoints.triton) as statistics,
        ):

            async def picture(request: Request) -> bytes:
                result = await client.generate(request[0], **request[1])
                return result.best.data

            for each in held(ROUNDS):
                requests = _requests(each).values()
                alone = [await picture(request) for request in requests]
                before = await statistics.work(_MODEL)
                together = await asyncio.gather(*(picture(request) for request in requests))
                work += await statistics.work(_MODEL) - before
                differing += sum(one != other for one, other in zip(alone, together, strict=True))
                count += len(alone)
    return differing, count, work


def _requests(each: Held) -> Mapping[str, Request]:
    """One request of each task that the denoiser samples, and one of few steps, with pictures of the same size."""
    place = png(np.where(box_around(each.product), 255, 0).astype(np.uint8))
    product = png(np.where(each.product > 0, 255, 0).astype(np.uint8))
    half = png(np.ascontiguousarray(each.picture[:, : SIDE // 2]))
    background = backdrop.Background(png(cutout_of(each.seed)), None, backdrop.Fit(0.25))
    scene: dict[str, Any] = {"prompt": "on a beach", "output_size": (SIDE, SIDE)}
    tasks: dict[str, tuple[backdrop.Task, dict[str, Any]]] = {
        "background": (background, scene),
        "few steps": (background, {**scene, "pipeline": "backdrop-fast", "steps": 4}),
        "text_to_image": (backdrop.TextToImage(), {"prompt": "a red mug in a forest", "output_size": (SIDE, SIDE)}),
        "erase": (backdrop.Erase(png(each.picture), product), {}),
        "fill": (backdrop.Fill(png(each.scene), place), {"prompt": "a blue bottle"}),
        "vary": (backdrop.Vary(png(each.picture), 0.8), {"prompt": "at night"}),
        "expand": (backdrop.Expand(half, backdrop.Margins(right=SIDE // 2)), {"prompt": "a beach"}),
    }
    shared = {"pipeline": "backdrop", "steps": _STEPS, "seed": each.seed}
    return {name: (task, {**shared, **options}) for name, (task, options) in tasks.items()}
