"""Structured concurrency with plain exceptions: the first failure cancels its siblings and comes out as itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


async def gather(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Like `asyncio.gather`, but nothing it started outlives it: not after an error, not after a cancellation."""
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(coroutine) for coroutine in coroutines)
    except BaseExceptionGroup as failures:
        # Siblings that were cancelled are not in the group, so what is left is what went wrong first.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """`gather` for two that return different things."""
    results: list[Any] = await gather(first, second)
    return results[0], results[1]


def stop_event() -> asyncio.Event:
    """Set once the process is asked to stop, by SIGTERM or SIGINT; to be called where the event loop runs."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
