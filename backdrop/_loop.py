"""An event loop in a thread of its own, for callers without one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from backdrop.errors import Reason, error

_T = TypeVar("_T")


class LoopThread:
    """Runs coroutines for threads that wait for their results. The thread lives from construction until `close`.

    A thread does not survive a fork; the child process starts its own.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._start()

    def _start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Returns the result of `coroutine`, or raises its error; an interrupt (Ctrl-C) cancels it.

        Raises:
            InvalidRequestError: the loop is closed.
        """
        if self.loop.is_closed():
            coroutine.close()
            raise error(Reason.UNUSABLE_CLIENT, "This client or fake is closed; make a new one.")
        if self._process != os.getpid():
            self._start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancels running coroutines and ends the thread. Safe to call again."""
        if self.loop.is_closed():
            return
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
