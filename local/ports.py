"""Ports on loopback: choosing free ones, and checking that a chosen one is free."""

from __future__ import annotations

import socket

from local.errors import StartError

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """So many different ports that no program listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def choose(port: int, option: str) -> int:
    """The port itself if it is free, or any free port for 0.

    Raises:
        StartError: if the port is taken. It is checked before a service starts, because gRPC servers would share it
            silently (SO_REUSEPORT). The message names the command line's `option`.
    """
    if port == 0:
        return free_ports(1)[0]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = f"Port {port} on {HOST} cannot be used ({error.strerror})"
            raise StartError(f"{reason}; choose another with {option}.") from error
    return port


def answers(port: int, request: bytes, reply: bytes, timeout_s: float = 1.0) -> bool:
    """Whether a server on loopback answers `request` with bytes that begin with `reply`."""
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.sendall(request)
            return connection.recv(len(reply)) == reply
    except OSError:
        return False
