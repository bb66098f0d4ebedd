"""A TCP relay on loopback that can fall silent: it keeps its connections and forwards nothing, as a lossy link does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType

import backdrop

_CHUNK = 1 << 16


class Relay:
    """Forwards connections to a port; `silence` affects the connections of the moment, new ones are forwarded.

    An async context manager.
    """

    def __init__(self, port: int) -> None:
        self.connections = 0
        """Accepted so far."""
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def endpoint(self) -> str:
        """host:port of the relay."""
        assert self._server is not None, "the relay has been entered"
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def silence(self) -> None:
        """Forwards nothing more on the open connections, and does not close them."""
        for task in self._tasks:
            task.cancel()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None, "the relay has been entered"
        self._server.close()
        self.silence()
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(_forward(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def through_silence(relay: Relay, generation: backdrop.Generation) -> tuple[backdrop.Result, float]:
    """Lets the relay fall silent at the first step of a generation that goes through it.

    Returns the result and the seconds from the silence until a server accepted the request again; 0 if none did.
    """
    fell = noticed_s = 0.0
    async for event in generation:
        if isinstance(event, backdrop.StepProgress) and not fell:
            relay.silence()
            fell = time.monotonic()
        elif isinstance(event, backdrop.Accepted) and fell:
            noticed_s = time.monotonic() - fell
    return await generation, noticed_s


async def _forward(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            sink.write(data)
            await sink.drain()
        sink.close()
