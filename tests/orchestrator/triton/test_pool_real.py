"""The pool against the real Triton and the models of the repository."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backdrop.errors import InternalError, Reason, UnavailableError
from orchestrator.scheduling import Priority
from orchestrator.triton import TritonPool

REPOSITORY = Path(__file__).resolve().parents[3] / "triton_repo" / "pipeline.json"
Document = dict[str, Any]
pytestmark = pytest.mark.skipif(not REPOSITORY.is_file(), reason="there is no model repository in this checkout")


@contextlib.asynccontextmanager
async def pool_on(endpoint: str) -> AsyncIterator[TritonPool]:
    pool = TritonPool([endpoint])
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def batch_for(model: Document, rows: int, bucket: Sequence[int]) -> dict[str, npt.NDArray[Any]]:
    """Random inputs of a model; dimensions that may vary take the bucket's size, or its latents'."""
    generator = np.random.default_rng(3)
    inputs: dict[str, npt.NDArray[Any]] = {}
    for tensor in model["inputs"]:
        sizes = iter(bucket if tensor["name"] in ("image", "mask") and model["pixels"] else [n // 8 for n in bucket])
        shape = (rows, *(next(sizes) if size < 0 else size for size in tensor["shape"]))
        if tensor["dtype"] == "INT64":
            inputs[tensor["name"]] = generator.integers(0, 100, shape)
        else:
            inputs[tensor["name"]] = generator.uniform(0, 1, shape).astype(np.float32)
    return inputs


@pytest.fixture(scope="module")
def document(triton_repository: Path) -> Document:
    document: Document = json.loads((triton_repository / "pipeline.json").read_text())
    for model in document["models"].values():
        # A model that takes "sample" works on latents throughout; the others' pictures are in pixels.
        model["pixels"] = all(tensor["name"] != "sample" for tensor in model["inputs"])
    return document


async def test_metadata_is_what_the_repository_says(triton_endpoint: str, document: Document) -> None:
    async with pool_on(triton_endpoint) as pool:
        for name, model in document["models"].items():
            metadata = await pool.metadata(name)
            assert metadata.fingerprint == model["fingerprint"]
            assert metadata.max_batch_size >= 1
            for served, expected in ((metadata.inputs, model["inputs"]), (metadata.outputs, model["outputs"])):
                assert {(t.name, t.dtype, t.shape) for t in served} == {
                    (t["name"], t["dtype"], tuple(t["shape"])) for t in expected
                }
        with pytest.raises(UnavailableError):
            await pool.metadata("no_such_model")


async def test_every_model_answers_and_rows_do_not_mix(triton_endpoint: str, document: Document) -> None:
    bucket = min(document["pipelines"][document["default"]]["buckets"])
    async with pool_on(triton_endpoint) as pool:
        for name, model in document["models"].items():
            most = (await pool.metadata(name)).max_batch_size
            inputs = batch_for(model, min(2, most), bucket)
            together = await pool.infer(name, inputs, request_id="real")
            alone = await pool.infer(name, {key: value[:1] for key, value in inputs.items()})
            for tensor in model["outputs"]:
                np.testing.assert_allclose(together[tensor["name"]][:1], alone[tensor["name"]], rtol=1e-3, atol=1e-3)


async def test_a_wrong_shape_is_the_models_failure_not_the_replicas(triton_endpoint: str, document: Document) -> None:
    name = document["pipelines"][document["default"]]["components"]["text_encoder_l"]
    async with pool_on(triton_endpoint) as pool:
        with pytest.raises(InternalError) as caught:
            await pool.infer(name, {"input_ids": np.zeros((1, 3, 3), np.int64)})
        assert caught.value.reason is Reason.MODEL_FAILED
        assert pool.ready_replicas == 1


async def test_cancelled_calls_leave_the_pool_as_it_was(triton_endpoint: str, document: Document) -> None:
    pipeline = document["pipelines"][document["default"]]
    name = pipeline["components"]["denoiser"]
    inputs = batch_for(document["models"][name], 1, min(pipeline["buckets"]))
    async with pool_on(triton_endpoint) as pool:
        await pool.infer(name, inputs)
        calls = [asyncio.create_task(pool.infer(name, inputs)) for _ in range(8)]
        await asyncio.sleep(0.01)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert pool.ready_replicas == 1
        assert np.isfinite((await pool.infer(name, inputs))["noise_pred"]).all()


async def test_in_tritons_queue_the_higher_class_goes_first(triton_endpoint: str, document: Document) -> None:
    """What several orchestrators send meets nowhere else."""
    pipeline = document["pipelines"][document["default"]]
    name = pipeline["components"]["denoiser"]
    async with pool_on(triton_endpoint) as pool:
        # Full batches, so that none shares another's.
        inputs = batch_for(
            document["models"][name], (await pool.metadata(name)).max_batch_size, min(pipeline["buckets"])
        )
        await pool.infer(name, inputs)
        done: list[Priority] = []

        async def call(priority: Priority) -> None:
            await pool.infer(name, inputs, priority=priority)
            done.append(priority)

        bulk = [asyncio.create_task(call(Priority.BULK)) for _ in range(12)]
        await asyncio.sleep(0.02)
        await call(Priority.INTERACTIVE)
        # Behind those that ran already, one an instance, and those that were taken out of the queue.
        assert len(done) < 8, "it came last"
        await asyncio.gather(*bulk)
