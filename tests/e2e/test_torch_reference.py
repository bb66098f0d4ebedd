"""The cluster's pictures are those that torch and diffusers make of the same weights, noise and schedule."""

import asyncio

import pytest

from backdrop import AsyncClient
from bench import torch_reference


@pytest.mark.parametrize("pipeline", ["backdrop", "backdrop-fast", "backdrop-dit"])
async def test_the_largest_difference_is_two_steps_of_255(cluster_endpoint: str, pipeline: str) -> None:
    async with AsyncClient(cluster_endpoint, timeout_s=60) as client:
        served = [entry.name for entry in (await client.info()).pipelines]
    if pipeline not in served:
        pytest.skip(f"the repository serves {', '.join(served)}, and not {pipeline}")
    # The last request of each: with a style picture where the pipeline takes one.
    compared = {pipeline: torch_reference.compared_requests(steps=5)[pipeline][-1:]}
    by_pipeline = await asyncio.to_thread(torch_reference.differences, cluster_endpoint, compared)
    assert max(by_pipeline[pipeline]) <= 2
