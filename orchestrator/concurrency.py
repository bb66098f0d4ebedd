"""Structured concurrency with plain exceptions: the first failure cancels the other tasks and is raised itself."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


async def gather(*coroutines: Coroutine[Any, Any, T]) -> list[T]:
    """Like `asyncio.gather`, but no task outlives it, neither after an error nor after a cancellation."""
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks.extend(group.create_task(coroutine) for coroutine in coroutines)
    except BaseExceptionGroup as failures:
        # The group has no cancelled tasks, so its first exception is the cause.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """`gather` for two coroutines of different result types."""
    results: list[Any] = await gather(first, second)
    return results[0], results[1]


def stop_event() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; to be called inside the event loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def cancelled(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits for its end."""
    task.cancel()
    await asyncio.wait([task])
