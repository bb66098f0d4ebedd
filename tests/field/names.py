"""A name server for one test: it answers for one name, with the addresses that the test says at the moment."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import cast

_VERSION_OF = {1: 4, 28: 6}
"""The versions of IP that A and AAAA questions ask for."""
_A, _TTL_S = 1, 0


class Names(asyncio.DatagramProtocol):
    """Answers A and AAAA questions with `addresses`, others with nothing, whatever the name (RFC 1035, RFC 3596)."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.questions = 0
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps what answers are sent by."""
        # asyncio's own class of sockets is none of its DatagramTransport.
        self._transport = cast(asyncio.DatagramTransport, transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answers one question."""
        assert self._transport is not None
        end = data.index(b"\0", 12) + 5
        kind = struct.unpack(">H", data[end - 4 : end - 2])[0]
        version = _VERSION_OF.get(kind)
        addresses = [each for each in map(ip_address, self.addresses) if each.version == version]
        self.questions += kind == _A
        header = data[:2] + struct.pack(">5H", 0x8580, 1, len(addresses), 0, 0)
        # 0xC00C points to the name in the question.
        packed = [each.packed for each in addresses]
        answers = [struct.pack(">3HIH", 0xC00C, kind, 1, _TTL_S, len(each)) + each for each in packed]
        self._transport.sendto(header + data[12:end] + b"".join(answers), addr)


@asynccontextmanager
async def name_server(*addresses: str) -> AsyncIterator[Names]:
    """Runs the server on a free port of loopback."""
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Names(*addresses), local_addr=("127.0.0.1", 0)
    )
    try:
        yield names
    finally:
        transport.close()
