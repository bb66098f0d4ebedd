"""Which addresses never leave this machine. Client and server treat plain text over them as private."""

from __future__ import annotations

import ipaddress

_SOCKETS = ("unix:", "unix-abstract:", "vsock:")


def is_loopback(address: str) -> bool:
    """Whether a target of gRPC, or an address to listen on, stays within this machine.

    Args:
        address: "host:port", a socket such as "unix:/path", or a target with a scheme, such as "dns:///localhost:1" or
            "ipv4:127.0.0.1:1,127.0.0.2:1". A name other than localhost is not loopback, whatever it resolves to.
    """
    if address.startswith(_SOCKETS):
        return not address.startswith("vsock:")
    scheme, separator, rest = address.partition(":")
    if separator and scheme in ("dns", "ipv4", "ipv6"):
        address = rest.rpartition("/")[2]
    return all(_is_loopback_host(each.strip().rpartition(":")[0]) for each in address.split(","))


def _is_loopback_host(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
