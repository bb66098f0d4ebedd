"""Addresses as settings write them: host:port, IPv6 in brackets, and sockets."""

from __future__ import annotations


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port"; the host of an IPv6 address is without brackets.

    Raises:
        ValueError: it has no host or no port; the message says what to write.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"is {address!r}; write host:port, such as 0.0.0.0:9090 or [::]:9090")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"is {address!r}; write an IPv6 address in brackets, such as [::]:9090")
    return host.strip("[]"), int(port)


def check_listen(address: str) -> str:
    """Returns what gRPC can listen on: "host:port" or "unix:/path".

    Raises:
        ValueError: it is neither.
    """
    if not address.startswith(("unix:", "unix-abstract:")):
        split_address(address)
    return address
