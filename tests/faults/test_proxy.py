"""The proxy does to a link what its state says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Link, Proxy
from tests.patience import PATIENCE_S


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through a proxy to a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield proxy, reader, writer
        writer.close()
    server.close()


async def test_a_good_link_forwards_both_ways_and_ends() -> None:
    async with echo() as (proxy, reader, writer):
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        assert proxy.connections == 1


@pytest.mark.parametrize("link", [Link(latency_s=0.1), Link(bytes_per_s=50_000)])
async def test_latency_and_bandwidth_take_their_time(link: Link) -> None:
    async with echo() as (proxy, reader, writer):
        proxy.link = link
        began = time.monotonic()
        for _ in range(5):
            writer.write(bytes(1000))
            await reader.readexactly(1000)
        assert time.monotonic() - began >= 0.15


async def test_garbage_replaces_what_the_server_sends() -> None:
    async with echo() as (proxy, reader, writer):
        proxy.link = Link(garbage=True)
        writer.write(b"0" * 16)
        assert await reader.readexactly(16) != b"0" * 16


async def test_a_silent_link_delivers_when_it_is_mended() -> None:
    async with echo() as (proxy, reader, writer):
        proxy.link = Link(silent=True)
        writer.write(b"late")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(4), 0.1)
        proxy.mend()
        assert await asyncio.wait_for(reader.readexactly(4), PATIENCE_S) == b"late"


async def test_a_half_open_connection_stays_silent_and_new_ones_work() -> None:
    async with echo() as (proxy, reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.silence()
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(4), 0.1)
        other, back = await asyncio.open_connection("127.0.0.1", proxy.port)
        back.write(b"new")
        assert await other.readexactly(3) == b"new"
        back.close()


async def test_resets_and_cuts_end_connections() -> None:
    async with echo() as (proxy, reader, writer):
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        proxy.cut()
        other, back = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await other.read(1) == b""
        back.close()
