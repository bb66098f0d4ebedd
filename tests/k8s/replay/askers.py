"""Callers that send requests in a loop while a test changes the cluster, and the results of their requests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import backdrop


@dataclasses.dataclass
class RequestTally:
    """The number of requests that were answered with pictures, and the errors of the others."""

    made: int = 0
    failed: list[BaseException] = dataclasses.field(default_factory=list)


@contextlib.asynccontextmanager
async def asking(endpoint: str, task: backdrop.Task, callers: int = 2, **options: Any) -> AsyncIterator[RequestTally]:
    """Sends the request from `callers` callers in a loop until the block ends, and waits for the last answers."""
    tally, over = RequestTally(), asyncio.Event()

    async def ask(client: backdrop.AsyncClient) -> None:
        while not over.is_set():
            try:
                await client.generate(task, **options, timeout_s=60)
                tally.made += 1
            except backdrop.BackdropError as problem:
                tally.failed.append(problem)

    async with backdrop.AsyncClient(endpoint) as client, asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask(client))
        yield tally
        over.set()
