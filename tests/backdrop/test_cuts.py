"""Proxies that cut streams or answer with pages of their own: the call is made again, with its key."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import pytest

import backdrop
from backdrop.errors import Reason

Answer = Callable[[h2.connection.H2Connection, int], None]
_GRPC = [(":status", "200"), ("content-type", "application/grpc")]


def page(status: str) -> Answer:
    def answer(connection: h2.connection.H2Connection, stream: int) -> None:
        connection.send_headers(stream, [(":status", status), ("content-type", "text/html")])
        connection.send_data(stream, b"<html>/srv/proxy: upstream failed</html>", end_stream=True)

    return answer


def reset(code: h2.errors.ErrorCodes, *, begun: bool) -> Answer:
    def answer(connection: h2.connection.H2Connection, stream: int) -> None:
        if begun:
            connection.send_headers(stream, _GRPC)
        connection.reset_stream(stream, code)

    return answer


def end(connection: h2.connection.H2Connection, stream: int) -> None:
    """Without a status."""
    connection.send_headers(stream, _GRPC)
    connection.end_stream(stream)


@contextlib.asynccontextmanager
async def proxy(answer: Answer) -> AsyncIterator[tuple[str, list[int]]]:
    """Address of a server that answers every call so, and the numbers of the streams that it saw."""
    streams: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(1 << 16):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    streams.append(event.stream_id)
                    answer(connection, event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", streams
    finally:
        server.close()


CODES = h2.errors.ErrorCodes
ANSWERS = {
    **{f"page {status}": page(status) for status in ("200", "500", "502", "503", "504")},
    **{
        f"{code.name}{', begun' * begun}": reset(code, begun=begun)
        for code in (CODES.NO_ERROR, CODES.PROTOCOL_ERROR, CODES.INTERNAL_ERROR, CODES.CANCEL, CODES.ENHANCE_YOUR_CALM)
        for begun in (False, True)
    },
    "no status": end,
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_stream_that_no_server_ended_is_tried_again(name: str) -> None:
    async with proxy(ANSWERS[name]) as (endpoint, streams), backdrop.AsyncClient(endpoint, retries=1) as client:
        with pytest.raises(backdrop.UnavailableError) as caught:
            await client.generate(backdrop.TextToImage(), prompt="a beach")
    assert caught.value.reason is Reason.UNREACHABLE
    assert endpoint in caught.value.message
    assert "proxy:" not in caught.value.message, "the page of a proxy is not quoted"
    assert len(streams) == 2


async def test_a_caller_who_cancels_is_not_told_of_a_cut() -> None:
    async with proxy(lambda connection, stream: None) as (endpoint, _), backdrop.AsyncClient(endpoint) as client:
        call = asyncio.ensure_future(client.generate(backdrop.TextToImage(), prompt="a beach"))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
