"""All arms return the same pictures; those over the same ONNX files, to the last byte."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backdrop import AsyncClient
from bench.arms.monolith import MonolithArm
from bench.arms.pool import WEIGHTS
from bench.arms.served import REPOSITORY
from bench.arms.workers import WorkersArm
from bench.requests import BenchRequest, numbered

pytestmark = pytest.mark.slow
REQUESTS = (
    numbered(1, steps=4),
    numbered(2, steps=3),
    numbered(3, steps=4, guidance_scale=1.0, pipeline="backdrop-fast"),
)


def pixels(file: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), np.int16)


@pytest.fixture(scope="module")
async def inprocess() -> AsyncIterator[list[bytes]]:
    arm = await WorkersArm.start("inprocess", "onnxruntime", REPOSITORY, workers=1, threads=2)
    try:
        yield list(await asyncio.gather(*map(arm.generate, REQUESTS)))
    finally:
        await arm.close()


async def test_the_cluster_makes_the_same_bytes(inprocess: list[bytes], cluster_endpoint: str) -> None:
    async with AsyncClient(cluster_endpoint, timeout_s=120) as client:

        async def served(request: BenchRequest) -> bytes:
            return (await client.generate(request.task, **request.options)).pictures[0].data

        assert await asyncio.gather(*map(served, REQUESTS)) == inprocess


@pytest.mark.full
async def test_two_workers_of_one_thread_make_the_same_bytes(inprocess: list[bytes]) -> None:
    arm = await WorkersArm.start("inprocess×2", "onnxruntime", REPOSITORY, workers=2, threads=1)
    try:
        assert await asyncio.gather(*map(arm.generate, REQUESTS)) == inprocess
    finally:
        await arm.close()


async def test_the_monolith_makes_the_same_bytes_side_by_side(inprocess: list[bytes]) -> None:
    arm = MonolithArm()
    try:
        assert await asyncio.gather(*map(arm.generate, REQUESTS)) == inprocess
    finally:
        await arm.close()


@pytest.mark.full  # in the default suite, tests/e2e/test_torch_reference.py compares the cluster with torch
async def test_torch_differs_by_two_steps_of_255_at_most(inprocess: list[bytes]) -> None:
    unsolved = [request for request in REQUESTS if request.pipeline == "backdrop"]
    arm = await WorkersArm.start("diffusers", "torch", Path(WEIGHTS), workers=1, threads=2)
    try:
        for request, ours in zip(unsolved, inprocess, strict=False):
            assert np.abs(pixels(await arm.generate(request)) - pixels(ours)).max() <= 2
    finally:
        await arm.close()
