"""The machine's cores, lent for the length of a run, so that there are never more threads at work than cores.

Every instance of every model is a process with threads of its own. Left alone, several of them crowd the cores: each
run takes twice as long, and they push each other's activations out of the caches, which costs a twentieth of all that
the machine can do. Here a run first takes a core for each of its threads, or as many as are free; who finds none waits.

Cores are files that are locked, since a lock ends with its process, however that ends. They lie in the folder of one
server: a server that hangs does not keep another from running.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

# A process that is killed rings no bell.
UNHEARD_S = 0.05


class Cores:
    """Takes cores for one thread of control; others, in this process or another, have objects of their own.

    Args:
        folder: where the files are; must exist, and be the same for all that share.
        count: how many cores there are; by default, as many as this process may use.
    """

    def __init__(self, folder: Path, count: int | None = None) -> None:
        usable = count or len(os.sched_getaffinity(0))
        # Locks belong to an open file, so that two objects of one process exclude each other too.
        self._gate = (folder / "gate").open("w")
        self._cores = [(folder / f"core-{index}").open("w") for index in range(usable)]
        with suppress(FileExistsError):
            os.mkfifo(folder / "bell")
        self._bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK)

    @contextmanager
    def held(self, most: int) -> Iterator[int]:
        """Has one to `most` cores for the length of the block: those that are free, or else the next to be free.

        Never waits for a second one, so no core stands idle while somebody waits.
        """
        fcntl.flock(self._gate, fcntl.LOCK_EX)  # one after another, in the order of their coming
        try:
            while not (held := self._take(most)):
                select.select([self._bell], [], [], UNHEARD_S)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield len(held)
        finally:
            for core in held:
                fcntl.flock(core, fcntl.LOCK_UN)
            with suppress(BlockingIOError):  # full of rings that nobody has heard
                os.write(self._bell, b"\0")

    def _take(self, most: int) -> list[IO[str]]:
        # What rang before this look says nothing about after it.
        with suppress(BlockingIOError):
            os.read(self._bell, 65536)
        held: list[IO[str]] = []
        for core in self._cores:
            if len(held) < most:
                with suppress(BlockingIOError):
                    fcntl.flock(core, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held.append(core)
        return held
