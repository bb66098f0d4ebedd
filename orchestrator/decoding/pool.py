"""The server's side of its decoders: one picture at a time for each, a new process for one that died or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from backdrop.contract.canvas import MaskSource
from backdrop.contract.files import Fault
from backdrop.contract.masks import Matte, read_mask
from backdrop.contract.pictures import Photo
from backdrop.contract.raster import refusal
from backdrop.contract.request_warnings import RequestWarning
from backdrop.errors import Reason, error
from orchestrator.arrays import Bytes
from orchestrator.decoding.decoder import HERE, CannotDecodeError, Decoder
from orchestrator.decoding.messages import receive, send, split

log = structlog.get_logger("orchestrator.decoding")

_ATTEMPTS = 2
"""A decoder may also be killed from outside, so a picture is tried once more before it is refused."""
_TIMEOUT_S = 60.0
_START_S = 60.0
_ADDRESS_MEGABYTES = 4096
_ROOT = str(Path(__file__).resolve().parents[2])
_COMMAND = (sys.executable, "-m", "orchestrator.decoding.worker")
_BYTES_A_PIXEL = 4


@contextlib.asynccontextmanager
async def decoders(count: int, watch: Callable[[str, str, Callable[[], float]], None]) -> AsyncIterator[Decoder]:
    """So many running decoders, or this process where there are none; `watch` exports a gauge."""
    if not count:
        yield HERE
        return
    pool = Decoders(count)
    watch("backdrop_decoder_deaths", "Decoders that died or were killed at their work", lambda: pool.deaths)
    await asyncio.to_thread(pool.start)
    try:
        yield pool
    finally:
        await asyncio.to_thread(pool.close)


class Decoders:
    """Decodes in other processes; it is a `Decoder`. Safe for threads.

    Args:
        count: how many there are, so how many pictures are decoded at the same time.
        timeout_s: after which a decoder that does not answer is killed.
        command: starts one; two arguments are added.
    """

    def __init__(self, count: int, *, timeout_s: float = _TIMEOUT_S, command: Sequence[str] = _COMMAND) -> None:
        self._idle: queue.Queue[_Worker] = queue.Queue()
        self._lock = threading.Lock()
        self.deaths = 0
        """Decoders that died or were killed at their work."""
        for _ in range(count):
            self._idle.put(_Worker(timeout_s, command))

    def start(self) -> None:
        """Starts the processes, so that the first pictures need not wait for them; before any is asked for."""
        for worker in list(self._idle.queue):
            worker.start()

    def wait_ready(self) -> None:
        """Waits until every process runs. Raises CannotDecodeError."""
        for worker in list(self._idle.queue):
            worker.connect()

    def processes(self) -> list[int]:
        """Ids of the idle ones."""
        return [worker.pid for worker in list(self._idle.queue) if worker.pid]

    def close(self) -> None:
        """Ends those that are idle; the others end with this process."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().stop()

    def photo(self, data: bytes, *, max_pixels: int, field: str) -> Photo:
        """As `decode_photo` of the contract; a picture that two decoders died of is refused as damaged."""
        header = {"kind": "photo", "arguments": {"max_pixels": max_pixels, "field": field}}
        answer, arrays = self._ask(header, data, max_pixels, field)
        alpha = arrays[1] if len(arrays) > 1 else None
        return Photo(arrays[0], alpha, int(answer["orientation"]), _warnings(answer))

    def mask(self, data: bytes, photo: Photo, *, max_pixels: int, task: str, picture: str) -> Matte:
        """As `read_mask` of the contract; without a mask nothing is decoded, so that is done here."""
        arguments = {"max_pixels": max_pixels, "task": task, "picture": picture}
        if not data:
            return read_mask(data, photo, max_pixels=max_pixels, task=task, picture=picture)
        size = [photo.size.width, photo.size.height]
        header = {"kind": "mask", "arguments": arguments, "size": size, "orientation": photo.orientation}
        answer, (values,) = self._ask(header, data, max_pixels, f"{task}.mask")
        return Matte(values, MaskSource(answer["source"]), _warnings(answer))

    def _ask(
        self, header: dict[str, Any], data: bytes, max_pixels: int, field: str
    ) -> tuple[dict[str, Any], list[Bytes]]:
        worker, cause = self._idle.get(), Exception()
        try:
            for _ in range(_ATTEMPTS):
                try:
                    answer, body = worker.ask(header, data, _BYTES_A_PIXEL * max_pixels)
                    if "reason" in answer:
                        raise error(Reason(answer["reason"]), answer["message"], field=answer["field"])
                    return answer, split(body, answer["shapes"])
                except (OSError, EOFError, ValueError, KeyError, CannotDecodeError) as problem:
                    self._died(worker, problem, field)  # the next attempt is a new process's
                    cause = problem
        finally:
            self._idle.put(worker)
        if isinstance(cause, CannotDecodeError):
            raise cause
        raise refusal(field, Fault.DAMAGED.value)

    def _died(self, worker: _Worker, problem: Exception, field: str) -> None:
        with self._lock:
            self.deaths += 1
        log.error("a decoder died of a picture", status=worker.stop(), cause=type(problem).__name__, field=field)


class _Worker:
    """One process and its connection; it is started when it is needed."""

    def __init__(self, timeout_s: float, command: Sequence[str]) -> None:
        self._timeout_s, self._command = timeout_s, command
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._runs = False

    @property
    def pid(self) -> int:
        """Of the process; 0 if it was not started."""
        return self._process.pid if self._process else 0

    def start(self) -> socket.socket:
        """The connection to the process, which may not run yet. Raises CannotDecodeError."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # it was killed while it was idle
        if self._connection is not None:
            return self._connection
        ours, theirs = socket.socketpair()
        command = [*self._command, str(theirs.fileno()), str(_ADDRESS_MEGABYTES)]
        # No variable of ours: settings may hold passwords. One thread: BLAS would reserve addresses for each core.
        environment = {"PYTHONPATH": _path(), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            try:
                self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)  # noqa: S603
            except OSError as problem:
                ours.close()
                raise CannotDecodeError(f"a decoder cannot be started: {problem.strerror}") from None
        self._connection, self._runs = ours, False
        return ours

    def connect(self) -> socket.socket:
        """The connection to the process, which runs. Raises CannotDecodeError."""
        connection = self.start()
        if not self._runs:
            connection.settimeout(_START_S)
            try:
                receive(connection, 0)
            except (OSError, EOFError, ValueError):
                status = self.stop()
                raise CannotDecodeError(f"a decoder ended with status {status} before its first picture") from None
            connection.settimeout(self._timeout_s)
            self._runs = True
        return connection

    def ask(self, header: dict[str, Any], data: bytes, longest: int) -> tuple[dict[str, Any], Bytes]:
        """Sends a picture and returns the answer.

        Raises:
            OSError, EOFError, ValueError: there is none.
            CannotDecodeError: the process cannot be started, so this says nothing about the picture.
        """
        connection = self.connect()
        send(connection, header, data)
        return receive(connection, longest)

    def stop(self) -> int:
        """Kills the process; returns its status, negative for the signal that it died of."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is None:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(0.2)
        self._process.kill()
        return self._process.wait()


def _path() -> str:
    """Where this process finds its modules: in an image the packages are in no place that Python itself knows."""
    return os.pathsep.join(dict.fromkeys([_ROOT, *filter(None, sys.path)]))


def _warnings(answer: dict[str, Any]) -> tuple[RequestWarning, ...]:
    return tuple(RequestWarning(*map(str, each)) for each in answer["warnings"])
