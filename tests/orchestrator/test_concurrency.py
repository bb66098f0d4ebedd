"""Structured concurrency: results in order, the first failure itself, and no task that outlives the call."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.concurrency import both, gather


async def after(delay_s: float, value: int) -> int:
    await asyncio.sleep(delay_s)
    return value


async def test_results_come_in_the_order_of_the_arguments() -> None:
    assert await gather(after(0.01, 1), after(0, 2)) == [1, 2]
    assert await both(after(0.01, 1), asyncio.sleep(0, "two")) == (1, "two")


async def test_the_first_failure_cancels_the_others_and_is_raised_itself() -> None:
    cancelled = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("the cause")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with pytest.raises(LookupError, match="the cause"):
        await gather(waits(), fails())
    assert cancelled.is_set()


async def test_a_cancellation_reaches_every_task() -> None:
    before = asyncio.all_tasks()
    call = asyncio.create_task(gather(after(60, 1), after(60, 2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert asyncio.all_tasks() == before
