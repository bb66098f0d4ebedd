"""Messages between server and decoder: a JSON header, then raw bytes. Nothing in them runs code, as a pickle could."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from orchestrator.arrays import Bytes

_LENGTHS = struct.Struct("<II")
_LONGEST_HEADER = 1 << 16


def send(connection: socket.socket, header: dict[str, Any], *bodies: memoryview | bytes) -> None:
    """Sends a message; raises OSError if the other side is gone."""
    text = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(text), sum(len(body) for body in bodies)) + text)
    for body in bodies:
        connection.sendall(body)


def receive(connection: socket.socket, longest: int) -> tuple[dict[str, Any], Bytes]:
    """Returns header and body of a message.

    Raises:
        EOFError: the other side is gone.
        OSError: it does not answer in time.
        ValueError: the message is longer than allowed, or no message.
    """
    header_size, body_size = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size).data)
    if header_size > _LONGEST_HEADER or body_size > longest:
        raise ValueError("the message is too long")
    header = json.loads(_exactly(connection, header_size).tobytes())
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header, _exactly(connection, body_size)


def split(body: Bytes, shapes: Sequence[Sequence[int]]) -> list[Bytes]:
    """The arrays of these shapes that follow one another in a body; raises ValueError if they do not."""
    arrays, start = [], 0
    for shape in shapes:
        stop = start + int(np.prod(shape, dtype=np.int64))
        arrays.append(body[start:stop].reshape(shape))
        start = stop
    if start != len(body):
        raise ValueError("the shapes do not fit the body")
    return arrays


def _exactly(connection: socket.socket, size: int) -> Bytes:
    data = np.empty(size, np.uint8)
    view, place = data.data, 0
    while place < size:
        count = connection.recv_into(view[place:])
        if not count:
            raise EOFError
        place += count
    return data
