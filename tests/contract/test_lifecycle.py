"""Leaving early and running out of time: both end the work, and neither harms the next request."""

from __future__ import annotations

import asyncio
import time

import pytest

from backdrop import AsyncClient, CancelledError, DeadlineExceededError, StepProgress
from tests.contract.photos import QUICK, SLOW, TASK
from tests.patience import PATIENCE_S


async def test_cancel_ends_the_call_at_once(client: AsyncClient) -> None:
    generation = client.generate(TASK, **SLOW)
    async for event in generation:
        if isinstance(event, StepProgress):
            break
    generation.cancel()
    with pytest.raises(CancelledError):
        await generation
    assert (await client.generate(TASK, **QUICK)).pictures


async def test_leaving_the_loop_ends_the_call(client: AsyncClient) -> None:
    async with client.generate(TASK, **SLOW) as generation:
        async for event in generation:
            if isinstance(event, StepProgress):
                break
    begin = time.monotonic()
    await client.generate(TASK, **QUICK)  # does not wait behind 1,600 rows
    assert time.monotonic() - begin < PATIENCE_S / 2


async def test_cancelling_the_task_ends_the_call(client: AsyncClient) -> None:
    task = asyncio.ensure_future(client.generate(TASK, **SLOW))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await client.generate(TASK, **QUICK)).pictures


async def test_a_deadline_ends_the_call_in_time(client: AsyncClient) -> None:
    begin = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        await client.generate(TASK, **SLOW, timeout_s=0.25)
    assert time.monotonic() - begin < PATIENCE_S / 2
    assert (await client.generate(TASK, **QUICK)).pictures


async def test_many_may_run_side_by_side(client: AsyncClient) -> None:
    results = await asyncio.gather(*(client.generate(TASK, **QUICK, seed=seed) for seed in range(12)))
    assert [result.settings.seed for result in results] == list(range(12))
    assert len({result.request_id for result in results}) == 12
