"""Calls that start at one moment: their HTTP/2 frames are encoded beforehand, so the cores are left to the server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence

import h2.connection
import h2.events

METHOD = "/backdrop.v1.GenerationService/Generate"
_CHUNK = 1 << 16


class Connection:
    """One connection with `count` calls of Generate that carry the same message.

    Args:
        timeout: the calls' `grpc-timeout`, such as "9900m" for 9.9 s: what the server sees, whenever it reads it.
        metadata: further headers of each call.
    """

    def __init__(
        self, endpoint: str, message: bytes, count: int, timeout: str, metadata: Iterable[tuple[str, str]] = ()
    ) -> None:
        host, _, port = endpoint.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http = h2.connection.H2Connection()
        self._body = b"\0" + len(message).to_bytes(4, "big") + message
        self._sent: dict[int, int] = {}
        self._statuses: dict[int, str] = {}
        self._count = count
        self.body_bytes = 0
        """Sent so far, of all messages."""
        self._http.initiate_connection()
        self._flush()
        self._receive()  # the server's settings, which say how much of a message may follow its headers at once
        self._first = self._encode(endpoint, timeout, metadata)

    def send(self) -> None:
        """Starts the calls: writes all headers, and of the messages what the server takes before it reads them."""
        self._socket.sendall(self._first)

    def statuses(self, timeout_s: float = 60.0) -> Sequence[str]:
        """The numbers of the calls' gRPC statuses, in the order in which they ended; sends on what the server takes.

        Raises:
            TimeoutError: the server was silent for `timeout_s`.
        """
        self._socket.settimeout(timeout_s)
        while len(self._statuses) < self._count:
            self._receive()
        return list(self._statuses.values())

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def _encode(self, endpoint: str, timeout: str, metadata: Iterable[tuple[str, str]]) -> bytes:
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", METHOD),
            (":authority", endpoint),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-timeout", timeout),
            *metadata,
        ]
        for _ in range(self._count):
            stream = self._http.get_next_available_stream_id()
            self._http.send_headers(stream, headers)
            self._sent[stream] = 0
        self._send_bodies()
        return self._http.data_to_send()

    def _send_bodies(self) -> None:
        """Gives the connection as much of every message as its window takes."""
        for stream, sent in list(self._sent.items()):
            room = self._http.local_flow_control_window(stream)
            while room and sent < len(self._body):
                size = min(room, self._http.max_outbound_frame_size, len(self._body) - sent)
                last = sent + size == len(self._body)
                self._http.send_data(stream, self._body[sent : sent + size], end_stream=last)
                sent, room = sent + size, room - size
                self.body_bytes += size
            self._sent[stream] = sent
            if sent == len(self._body):
                del self._sent[stream]

    def _receive(self) -> None:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server has closed the connection")
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                status = next((value.decode() for name, value in event.headers or () if name == b"grpc-status"), "")
                if status:
                    self._end(event.stream_id, status)
            elif isinstance(event, h2.events.StreamReset):
                self._end(event.stream_id, "reset")
            elif isinstance(event, h2.events.DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self._send_bodies()
        self._flush()

    def _end(self, stream: int, status: str) -> None:
        self._statuses.setdefault(stream, status)
        self._sent.pop(stream, None)

    def _flush(self) -> None:
        self._socket.sendall(self._http.data_to_send())


def start(connections: Sequence[Connection], settle_s: float) -> list[str]:
    """Starts the calls of all connections, waits `settle_s`, returns the gRPC statuses, and closes the connections."""
    for connection in connections:
        connection.send()
    time.sleep(settle_s)
    statuses = [status for connection in connections for status in connection.statuses()]
    for connection in connections:
        connection.close()
    return statuses
