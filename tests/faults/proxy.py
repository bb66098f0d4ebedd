"""A TCP proxy on loopback whose link can be made bad while it runs: the kinds of faults that toxiproxy has."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import socket
import struct
import time
from types import TracebackType
from typing import Self

import backdrop

_CHUNK = 1 << 16
_POLL_S = 0.01
# Closes with RST instead of FIN: the sender's unsent data is dropped, as when a host goes away.
_ABORT = struct.pack("ii", 1, 0)


@dataclasses.dataclass(frozen=True)
class Link:
    """What the proxy does with the bytes of every open connection.

    Attributes:
        latency_s: by which each chunk is late, in each direction; chunks overlap, as on a long cable.
        bytes_per_s: bandwidth of each direction; 0 = unlimited.
        garbage: whether random bytes replace what the server sends.
        silent: whether nothing is forwarded, on connections that stay open; what was sent arrives when it ends.
    """

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    garbage: bool = False
    silent: bool = False


GOOD = Link()


class Proxy:
    """Forwards connections to a port of this host. An async context manager.

    Attributes:
        link: the state of all connections, the open ones included; may be changed at any time.
        connections: number of connections accepted so far.
    """

    def __init__(self, port: int) -> None:
        self.link = GOOD
        self.connections = 0
        self._target = port
        self._server: asyncio.Server | None = None
        self._refusing = False
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that the proxy listens on."""
        assert self._server is not None, "the proxy has been entered"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def endpoint(self) -> str:
        """host:port of the proxy."""
        return f"127.0.0.1:{self.port}"

    def silence(self) -> None:
        """Half opens the connections of the moment: they stay open and forward nothing more; new ones are forwarded."""
        for connection in self._open:
            connection.silent = True

    def cut(self) -> None:
        """Closes the open connections, and new ones at once, until `mend`."""
        self._refusing = True
        self.close_connections()

    def reset(self) -> None:
        """Resets the open connections (RST); new ones are forwarded."""
        for connection in self._open:
            connection.abort()

    def close_connections(self) -> None:
        """Closes the open connections in order (FIN); new ones are forwarded."""
        for connection in self._open:
            connection.close()

    def mend(self) -> None:
        """Makes the link good again. Connections that `silence` half opened stay as they are."""
        self.link, self._refusing = GOOD, False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None, "the proxy has been entered"
        self._server.close()
        self.close_connections()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            writer.close()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        connection = _Connection(writer, back)
        self._open.add(connection)
        pumps = [
            asyncio.create_task(self._pump(connection, reader, back, from_server=False)),
            asyncio.create_task(self._pump(connection, there, writer, from_server=True)),
        ]
        self._tasks.update(pumps)
        for pump in pumps:
            pump.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*pumps)
        self._open.discard(connection)
        connection.close()

    async def _pump(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        """Moves bytes one way; the reading and the late writing are apart, so that latency costs no bandwidth."""
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def read() -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(_CHUNK):
                    if self.link.garbage and from_server:
                        data = secrets.token_bytes(len(data))
                    await late.put((time.monotonic() + self.link.latency_s, data))
            await late.put((time.monotonic() + self.link.latency_s, b""))

        reading = asyncio.create_task(read())
        try:
            with contextlib.suppress(OSError):
                while True:
                    due, data = await late.get()
                    if not data:
                        break
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    while self.link.silent or connection.silent:  # noqa: ASYNC110  # plain attributes
                        await asyncio.sleep(_POLL_S)
                    if self.link.bytes_per_s:
                        await asyncio.sleep(len(data) / self.link.bytes_per_s)
                    sink.write(data)
                    await sink.drain()
            # Either side's end closes the other; through a silent link nobody hears of it.
            connection.close()
        finally:
            reading.cancel()


class _Connection:
    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.silent = False
        self._writers = writers

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def abort(self) -> None:
        for writer in self._writers:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            writer.transport.abort()


async def through_silence(proxy: Proxy, generation: backdrop.Generation) -> tuple[backdrop.Result, float]:
    """Half opens the proxy's connections at the first step of a generation that goes through it.

    Returns the result and the seconds from then until a server accepted the request again; 0 if none did.
    """
    fell = noticed_s = 0.0
    async for event in generation:
        if isinstance(event, backdrop.StepProgress) and not fell:
            proxy.silence()
            fell = time.monotonic()
        elif isinstance(event, backdrop.Accepted) and fell:
            noticed_s = time.monotonic() - fell
    return await generation, noticed_s
