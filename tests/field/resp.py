"""A tiny server that speaks Redis' protocol and answers as a test says: what a real one cannot be brought to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

INFO = b"# Server\r\nredis_version:7.0\r\nredis_mode:standalone\r\n"


def bulk(data: bytes) -> bytes:
    """A value."""
    return b"$%d\r\n%s\r\n" % (len(data), data)


def usual(command: str) -> bytes:
    """What a healthy and empty Redis answers."""
    answers = {"PING": b"+PONG\r\n", "INFO": bulk(INFO), "GET": b"$-1\r\n", "EXISTS": b":0\r\n"}
    return answers.get(command, b"+OK\r\n")


class Answers:
    """The running server; `to` may be changed at any time."""

    def __init__(self, to: Callable[[str], bytes | None]) -> None:
        self.to = to
        self.commands: list[str] = []
        self.connections = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection; None as an answer closes it."""
        self.connections += 1
        try:
            while header := await reader.readline():
                parts = []
                for _ in range(int(header[1:])):
                    length = int((await reader.readline())[1:])
                    parts.append((await reader.readexactly(length + 2))[:-2])
                command = parts[0].decode().upper()
                self.commands.append(command)
                answer = self.to(command)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, ValueError, IndexError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def answering(to: Callable[[str], bytes | None] = usual) -> AsyncIterator[Answers]:
    """Runs the server on a free port of loopback."""
    answers = Answers(to)
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    answers.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    try:
        yield answers
    finally:
        server.close()
