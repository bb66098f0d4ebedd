"""Ports on loopback: finding free ones, and telling when a wanted one is taken."""

from __future__ import annotations

import socket

from local.errors import StartError

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on right now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def choose(wanted: int, option: str) -> int:
    """The wanted port, or a free one for 0.

    Raises:
        StartError: if the wanted port is taken. gRPC servers would share it silently (SO_REUSEPORT), so this is asked
            before anything starts.
    """
    if wanted == 0:
        return free_ports(1)[0]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            reason = f"Port {wanted} on {HOST} cannot be used ({error.strerror})"
            raise StartError(f"{reason}; choose another with {option}.") from error
    return wanted


def answers(port: int, question: bytes, expected: bytes, timeout_s: float = 1.0) -> bool:
    """Whether a server on loopback answers `question` with something that begins with `expected`."""
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.sendall(question)
            return connection.recv(len(expected)) == expected
    except OSError:
        return False
