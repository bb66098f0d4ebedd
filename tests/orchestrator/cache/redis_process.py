"""A real Redis (or Valkey) for one test: on a free port, with nothing on disk, stopped by its process id."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.errors import StartError
from local.redis import find_binary


class RedisProcess:
    """One server process; `url` stays the same over restarts."""

    def __init__(self, binary: str, port: int, *options: str, config: Path | None = None) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        # A Sentinel does not start without a config file, which comes first.
        self._command = [
            binary,
            *([] if config is None else [str(config)]),
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._command += options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the server if it does not run, and waits until it answers."""
        if self._process is not None:
            self.resume()
            return
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 0.2) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(5) == b"+PONG":
                    return
            time.sleep(0.01)
        raise AssertionError("Redis did not start")

    def pause(self) -> None:
        """Stops it where it stands; connections stay open."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextlib.contextmanager
def running(*options: str, config: Path | None = None) -> Iterator[RedisProcess]:
    """Runs a server on a free port; skips the test where there is none to run."""
    try:
        binary = find_binary()
    except StartError as problem:
        pytest.skip(str(problem))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = RedisProcess(binary, port, *options, config=config)
    process.start()
    try:
        yield process
    finally:
        process.kill()


async def until_stored(write: asyncio.Task[None] | None) -> None:
    """Waits until Redis has what a store was given; nothing if it was not given to Redis."""
    if write is not None:
        await write
