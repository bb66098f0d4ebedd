"""Where the replicas are: a list of endpoints, some of which are names that DNS turns into several addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import structlog

log = structlog.get_logger("orchestrator.triton")

_DNS = "dns:///"


class Endpoints:
    """The addresses behind a list of "host:port" (one replica each) and "dns:///host:port" (one per A or AAAA record).

    Raises:
        ValueError: the list is empty, or an entry has no host or no port.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        if not endpoints:
            raise ValueError("at least one Triton endpoint is needed, as host:port or dns:///host:port")
        self._static: list[str] = []
        self._names: dict[str, frozenset[str]] = {}
        for endpoint in endpoints:
            host, _, port = endpoint.removeprefix(_DNS).rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"{endpoint} is not a Triton endpoint; write host:port or dns:///host:port")
            if endpoint.startswith(_DNS):
                self._names[endpoint] = frozenset()
            else:
                self._static.append(endpoint)

    @property
    def change(self) -> bool:
        """Whether the addresses can change, so that asking again makes sense."""
        return bool(self._names)

    async def addresses(self) -> frozenset[str]:
        """Returns the addresses now; a name that cannot be resolved keeps those it had."""
        for name in self._names:
            try:
                self._names[name] = await _resolve(name.removeprefix(_DNS))
            except OSError as problem:
                log.warning("name not resolved", endpoint=name, why=str(problem))
        return frozenset(self._static).union(*self._names.values())


async def _resolve(endpoint: str) -> frozenset[str]:
    host, _, port = endpoint.rpartition(":")
    found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    addresses = {(family, str(address[0])) for family, _, _, _, address in found}
    return frozenset(f"[{ip}]:{port}" if family == socket.AF_INET6 else f"{ip}:{port}" for family, ip in addresses)
