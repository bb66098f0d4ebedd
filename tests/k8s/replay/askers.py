"""Callers who ask again and again while something happens to the cluster, and what became of their requests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import backdrop


@dataclasses.dataclass
class Asked:
    """How many pictures were made, and what went wrong instead."""

    made: int = 0
    failed: list[BaseException] = dataclasses.field(default_factory=list)


@contextlib.asynccontextmanager
async def asking(endpoint: str, callers: int = 2, **request: Any) -> AsyncIterator[Asked]:
    """Sends the request through so many callers until the block ends, and waits for the last answers."""
    asked, over = Asked(), asyncio.Event()

    async def ask(client: backdrop.AsyncClient) -> None:
        while not over.is_set():
            try:
                await client.generate(**request, timeout_s=60)
                asked.made += 1
            except backdrop.BackdropError as problem:
                asked.failed.append(problem)

    async with backdrop.AsyncClient(endpoint) as client, asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(ask(client))
        yield asked
        over.set()
