"""Locks for the machine's cores: a run takes one for each of its threads, so no more threads work than there are cores.

Every instance of every model is a process with threads of its own. Without locks several processes run at the same
time: each run takes twice as long, and they evict each other's activations from the caches, which costs 5 % of the
throughput. With locks, a run takes a core for each of its threads, or as many as are free, and waits if none is.

A core is a locked file, because the kernel releases a lock when its process ends, however it ends. Every server has its
own folder of locks, so a server that hangs does not block another.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

RETRY_S = 0.05
"""How often a waiting run looks again: a process that was killed has released its cores without ringing the bell."""


class Cores:
    """Takes cores for one thread. Every other thread, in this process or another, has its own object.

    Args:
        folder: holds the lock files; must exist, and be the same for all that share the cores.
        count: number of cores; by default, as many as this process may use.
    """

    def __init__(self, folder: Path, count: int | None = None) -> None:
        usable = count or len(os.sched_getaffinity(0))
        # A lock belongs to an open file, so two objects of one process exclude each other too.
        self._gate = (folder / "gate").open("w")
        self._cores = [(folder / f"core-{index}").open("w") for index in range(usable)]
        with suppress(FileExistsError):
            os.mkfifo(folder / "bell")
        self._bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK)

    @contextmanager
    def held(self, most: int) -> Iterator[int]:
        """Holds one to `most` cores during the block: those that are free, or else the next that is released.

        It never waits for a second core, so no core is idle while a run waits.
        """
        fcntl.flock(self._gate, fcntl.LOCK_EX)  # one at a time, first come, first served
        try:
            while not (held := self._take(most)):
                select.select([self._bell], [], [], RETRY_S)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield len(held)
        finally:
            for core in held:
                fcntl.flock(core, fcntl.LOCK_UN)
            with suppress(BlockingIOError):  # the pipe is full of unread bytes
                os.write(self._bell, b"\0")

    def _take(self, most: int) -> list[IO[str]]:
        # Bytes from before this attempt say nothing about cores that are released after it.
        with suppress(BlockingIOError):
            os.read(self._bell, 65536)
        held: list[IO[str]] = []
        for core in self._cores:
            if len(held) < most:
                with suppress(BlockingIOError):
                    fcntl.flock(core, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held.append(core)
        return held
