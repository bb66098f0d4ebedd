"""Arms without a server: a queue in front of one or two worker processes, each of which runs one request at a time."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self

from bench.arms.worker import READY
from bench.figures import ROOT
from bench.requests import BenchRequest


class Worker:
    """One process; takes one request at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._sink, self._source = process, process.stdin, process.stdout

    @classmethod
    async def start(cls, kind: str, folder: Path, threads: int) -> Self:
        """Starts a worker and waits until it is loaded."""
        command = (sys.executable, "-m", "bench.arms.worker", kind, str(folder), str(threads))
        pipe = asyncio.subprocess.PIPE
        worker = cls(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT))
        assert await worker._read() == READY
        return worker

    async def ask(self, message: bytes) -> bytes:
        """Returns the answer to a message."""
        self._sink.write(len(message).to_bytes(4, "big") + message)
        await self._sink.drain()
        return await self._read()

    async def close(self) -> None:
        """Ends the process."""
        self._sink.close()
        await self._process.wait()

    async def _read(self) -> bytes:
        size = int.from_bytes(await self._source.readexactly(4), "big")
        return await self._source.readexactly(size)


class WorkersArm:
    """Requests wait in order for a free worker."""

    def __init__(self, name: str, workers: list[Worker]) -> None:
        self.name = name
        self._workers = workers
        self._free: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in workers:
            self._free.put_nowait(worker)

    @classmethod
    async def start(cls, name: str, kind: str, folder: Path, *, workers: int, threads: int) -> Self:
        """Starts the workers.

        Args:
            name: the arm's.
            kind: "onnxruntime" or "torch".
            folder: the model repository, or the folder of the weights folders.
            workers: how many processes.
            threads: of each of them.
        """
        return cls(name, await asyncio.gather(*(Worker.start(kind, folder, threads) for _ in range(workers))))

    async def generate(self, request: BenchRequest) -> bytes:
        """Returns the finished picture."""
        worker = await self._free.get()
        try:
            return await worker.ask(request.message())
        finally:
            self._free.put_nowait(worker)

    async def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            await worker.close()
