"""The cluster's pictures are those that torch and diffusers make of the same weights, noise and schedule."""

import asyncio

import pytest

from backdrop import AsyncClient
from bench import against_torch


@pytest.mark.parametrize("pipeline", ["backdrop", "backdrop-fast", "backdrop-dit"])
async def test_the_largest_difference_is_two_steps_of_255(cluster_endpoint: str, pipeline: str) -> None:
    async with AsyncClient(cluster_endpoint, timeout_s=60) as client:
        served = [entry.name for entry in (await client.info()).pipelines]
    if pipeline not in served:
        pytest.skip(f"the repository serves {', '.join(served)}, and not {pipeline}")
    # The last order of each: with a style picture where the pipeline takes one.
    compared = {pipeline: against_torch.orders(steps=5)[pipeline][-1:]}
    found = await asyncio.to_thread(against_torch.differences, cluster_endpoint, compared)
    assert max(found[pipeline]) <= 2
