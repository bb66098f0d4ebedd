"""A caller who has left costs at most the step that ran, counted by Triton's own statistics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tritonclient.grpc.aio import InferenceServerClient

from backdrop import AsyncClient, Background, DeadlineExceededError, StepProgress
from tests.pictures import ellipse_mask, encoded, noisy_photo

TASK = Background(encoded(noisy_photo(96, 96)), encoded(ellipse_mask(96, 96)))
VARIANTS = 3
LONG: dict[str, Any] = {"pipeline": "backdrop", "steps": 100, "variants": VARIANTS, "seed": 1}


async def rows_computed(triton: InferenceServerClient) -> int:
    """Rows that the denoiser has computed since the server started."""
    statistics = await triton.get_inference_statistics("denoiser")
    return int(statistics.model_stats[0].inference_count)


async def settled(triton: InferenceServerClient) -> int:
    """The same, once nothing is added any more."""
    rows = -1
    while rows != (now := await rows_computed(triton)):
        rows = now
        await asyncio.sleep(0.3)  # several steps of these models
    return rows


@pytest.mark.parametrize("leave", ["cancel", "close", "deadline"])
async def test_no_step_follows_a_caller_who_left(cluster_endpoint: str, triton_endpoint: str, leave: str) -> None:
    async with AsyncClient(cluster_endpoint, retries=0) as client, InferenceServerClient(triton_endpoint) as triton:
        before = await settled(triton)
        generation = client.generate(TASK, **LONG, timeout_s=1.5 if leave == "deadline" else 60.0)
        async with generation:
            if leave == "deadline":
                with pytest.raises(DeadlineExceededError):
                    await generation
            else:
                async for event in generation:
                    if isinstance(event, StepProgress) and event.step == 3:
                        break
            if leave == "cancel":
                generation.cancel()
        at_once = await rows_computed(triton)
        # Each variant's step of two rows may be running, and another may have begun while the word was on its way.
        assert await settled(triton) <= at_once + 2 * 2 * VARIANTS
        assert at_once - before < 2 * 100 * VARIANTS, "the caller left before the end"
