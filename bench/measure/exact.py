"""Whether company changes a row: the denoiser's rows through Triton, alone and in batches of others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from bench.arms.company import Company
from bench.engine import Engine
from bench.figures import Figure
from bench.measure.base import Measurement
from bench.rounds import Round

Inputs = dict[str, npt.NDArray[Any]]


async def measure(company: Company, number: int, settings: Mapping[str, Any]) -> Round:
    """The largest difference of rows sent together from the same rows sent alone, and how many met in an execution."""
    endpoint = (await company.backdrop()).cluster.endpoints.triton[0]
    rows = [denoiser_row(number * settings["rows"] + index) for index in range(settings["rows"])]
    client = InferenceServerClient(endpoint)
    async with Engine((endpoint,)) as engine:
        alone = [await infer(client, row) for row in rows]
        before = await engine.work("denoiser")
        together = await asyncio.gather(*(infer(client, row) for row in rows))
        done = await engine.work("denoiser") - before
    whole = await infer(client, {name: np.concatenate([row[name] for row in rows[:8]]) for name in rows[0]})
    await client.close()
    worst = max(float(np.abs(one - other).max()) for one, other in zip(alone, together, strict=True))
    worst = max(worst, float(np.abs(np.concatenate(alone[:8]) - whole).max()))
    return {"difference": worst, "rows_an_execution": done.rows / done.executions}


def denoiser_row(seed: int) -> Inputs:
    """Inputs [1, …] of one row at 256 × 256 pixels, at a timestep of its own."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "sample": normal(1, 4, 32, 32),
        "mask": (normal(1, 1, 32, 32) > 0).astype(np.float32),
        "masked_image_latents": normal(1, 4, 32, 32),
        "timestep": np.array([[rng.integers(1, 1000)]], np.float32),
        "encoder_hidden_states": normal(1, 77, 256),
        "text_embeds": normal(1, 160),
        "time_ids": np.array([[256, 256, 0, 0, 256, 256]], np.float32),
        "image_tokens": normal(1, 4, 256),
        "image_scale": rng.uniform(0, 1, (1, 1)).astype(np.float32),
    }


async def infer(client: InferenceServerClient, inputs: Inputs, model: str = "denoiser") -> npt.NDArray[Any]:
    """The denoiser's prediction for a batch of rows."""
    tensors = []
    for name, value in inputs.items():
        tensor = InferInput(name, list(value.shape), "FP32")
        tensor.set_data_from_numpy(value)
        tensors.append(tensor)
    answer: npt.NDArray[Any] = (await client.infer(model, tensors)).as_numpy("noise_pred")
    return answer


def figures(rounds: Sequence[Round], settings: Mapping[str, Any]) -> list[Figure]:
    """The worst of all rounds."""
    worst = max(one["difference"] for one in rounds)
    rows = max(one["rows_an_execution"] for one in rounds)
    spread = f"worst of {len(rounds) * settings['rows']} rows at all timesteps, up to {rows:.1f} rows an execution"
    name = "max difference of latents, batched against alone"
    return [Figure(name, worst, 0, "lower", "python -m bench.performance exact", spread)]


EXACT = Measurement("exact", {"rows": 16}, {"rows": 8}, measure, figures)
