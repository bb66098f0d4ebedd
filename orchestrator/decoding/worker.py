"""The process that decodes: `python -m orchestrator.decoding.worker FD MEGABYTES`. It ends with its connection.

It holds nothing but the picture that it works on: no keys, no prompts, no other request. A picture that uses a fault of
a decoder's native code ends this process, or gets no further than it.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import sys
from typing import Any

import numpy as np

from backdrop.contract.pictures import Photo
from backdrop.errors import InvalidRequestError
from orchestrator import allocator
from orchestrator.arrays import Bytes
from orchestrator.decoding.decoder import Decoder, InProcess
from orchestrator.decoding.messages import receive, send

LONGEST = 256 << 20
"""Bytes of a message."""


def serve(connection: socket.socket, decoder: Decoder) -> None:
    """Says that it runs, and answers until the connection ends."""
    send(connection, {})
    while _serve_one(connection, decoder):
        # Between two pictures, which may be hours apart, none of the last one's memory is kept.
        allocator.trim()


def _serve_one(connection: socket.socket, decoder: Decoder) -> bool:
    """Answers once; returns whether there was something to answer."""
    try:
        header, data = receive(connection, LONGEST)
    except EOFError:
        return False
    try:
        answer, arrays = _answer(decoder, header, data.tobytes())
    except InvalidRequestError as problem:
        answer = {"reason": problem.reason.value, "message": problem.message, "field": problem.field}
        arrays = []
    send(connection, answer, *(np.ascontiguousarray(array).data.cast("B") for array in arrays))
    return True


def _answer(decoder: Decoder, header: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[Bytes]]:
    kind, arguments = header["kind"], header["arguments"]
    if kind == "photo":
        photo = decoder.photo(data, **arguments)
        arrays = [photo.rgb] if photo.alpha is None else [photo.rgb, photo.alpha]
        answer: dict[str, Any] = {"orientation": photo.orientation}
        notes = photo.warnings
    else:
        width, height = header["size"]
        # Of the photo only its size and orientation count for a mask that was sent.
        stands_in = Photo(np.broadcast_to(np.uint8(0), (height, width, 3)), None, header["orientation"])
        matte = decoder.mask(data, stands_in, **arguments)
        assert matte.values is not None, "a mask was sent"
        arrays, answer, notes = [matte.values], {"source": matte.source.value}, matte.warnings
    answer["shapes"] = [array.shape for array in arrays]
    return answer | {"warnings": [[note.reason, note.field, note.message] for note in notes]}, arrays


def main() -> int:
    """Serves the connection that was inherited as FD, with so many megabytes of addresses."""
    megabytes = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    allocator.tune()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold pixels
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends first, and closes the connection
    with contextlib.suppress(ConnectionError):  # it has ended
        serve(socket.socket(fileno=int(sys.argv[1])), InProcess())
    return 0


if __name__ == "__main__":
    sys.exit(main())
