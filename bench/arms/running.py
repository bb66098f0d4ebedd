"""Requests that are kept running on the cluster while something else is measured, and the count of their steps."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Sequence

from backdrop import StepProgress
from bench.arms.served import BackdropArm
from bench.requests import BenchRequest


class Steps:
    """Counts the steps of running generations as their events arrive."""

    def __init__(self) -> None:
        self.of: collections.Counter[int] = collections.Counter()

    async def follow(self, arm: BackdropArm, key: int, request: BenchRequest) -> None:
        """Runs a request, and others like it after it, and counts their steps under `key`."""
        for seed in itertools.count(request.seed):
            again = dataclasses.replace(request, seed=seed)
            async with arm.client.generate(again.task, **again.options) as generation:
                async for event in generation:
                    self.of[key] += isinstance(event, StepProgress)


@contextlib.asynccontextmanager
async def running(
    arm: BackdropArm, requests: Sequence[BenchRequest], started: int | None = None
) -> AsyncIterator[Steps]:
    """Keeps some requests running; cancels them at the end.

    Args:
        arm: the cluster.
        requests: what runs.
        started: how many of them are past their first steps when the block begins; the others may wait. None = all.

    Raises:
        Exception: the failure of one of them before the block began.
    """
    steps = Steps()
    tasks = [asyncio.create_task(steps.follow(arm, key, request)) for key, request in enumerate(requests)]
    try:
        while sum(steps.of[key] >= 2 for key in range(len(requests))) < (len(requests) if started is None else started):
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)
        yield steps
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
