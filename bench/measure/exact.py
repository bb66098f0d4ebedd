"""Whether company changes a row: the denoiser's rows through Triton, alone and in batches of others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tritonclient.grpc.aio import InferenceServerClient

from bench.arms.company import Company
from bench.arms.served import REPOSITORY
from bench.engine import Engine
from bench.figures import Figure
from bench.inputs import Arrays, infer, random_rows
from bench.measure.base import Measurement
from bench.rounds import Round

_OUTPUT = "noise_pred"


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The largest difference of rows in company from the same rows alone, and how many met in an execution."""
    endpoint, model = (await company.backdrop()).cluster.endpoints.triton[0], settings["model"]
    entry = json.loads((REPOSITORY / "pipeline.json").read_text())["models"][model]
    batch = random_rows(entry, settings["rows"], seed=number)
    rows: list[Arrays] = [{name: value[i : i + 1] for name, value in batch.items()} for i in range(settings["rows"])]
    client = InferenceServerClient(endpoint)
    async with Engine((endpoint,)) as engine:
        alone = np.concatenate([await infer(client, model, row, _OUTPUT) for row in rows])
        before = await engine.work(model)
        together = np.concatenate(await asyncio.gather(*(infer(client, model, row, _OUTPUT) for row in rows)))
        done = await engine.work(model) - before
    await client.close()
    return {"difference": float(np.abs(alone - together).max()), "rows_an_execution": done.rows / done.executions}


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """The worst of all rounds."""
    worst = max(one["difference"] for one in rounds)
    rows = max(one["rows_an_execution"] for one in rounds)
    spread = f"worst of {len(rounds) * settings['rows']} rows at all timesteps, up to {rows:.1f} rows an execution"
    name = "max difference of latents, batched against alone"
    return [Figure(name, worst, 0, "lower", "python -m bench.performance exact", spread)]


EXACT = Measurement(
    "exact", {"model": "denoiser", "rows": 16}, {"model": "denoiser", "rows": 8}, measure, figures
)  # fmt: skip
