"""The addresses of the replicas: from a fixed list, from DNS names, or from Kubernetes Services."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog

from orchestrator.triton.slices import ClusterSource, ServiceWatch, SliceSource

log = structlog.get_logger("orchestrator.triton")

_DNS = "dns:///"
_KUBERNETES = "kubernetes:///"
_FIRST_ANSWER_S = 3.0


def split_endpoints(text: str) -> list[str]:
    """The endpoints of a comma-separated list."""
    return [endpoint.strip() for endpoint in text.split(",") if endpoint.strip()]


def check_endpoints(endpoints: Sequence[str]) -> None:
    """Raises ValueError for an empty list, an entry without host or port, and a Service without namespace."""
    if not endpoints:
        raise ValueError("at least one Triton endpoint is needed, as host:port or dns:///host:port")
    for endpoint in endpoints:
        bare = endpoint.removeprefix(_DNS).removeprefix(_KUBERNETES)
        host, _, port = bare.rpartition(":")
        if not host or "/" in host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{endpoint!r} is not a Triton endpoint; write host:port or dns:///host:port")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError(
                f"{endpoint!r} is not a Triton endpoint; write an IPv6 address in brackets: [{host}]:{port}"
            )
        service, _, namespace = host.partition(".")
        if endpoint.startswith(_KUBERNETES) and not (service and namespace):
            raise ValueError(f"{endpoint!r} has no namespace; write kubernetes:///service.namespace:port")


class Endpoints:
    """The addresses behind a list of endpoints.

    "host:port" is one replica, "dns:///host:port" one for each A or AAAA record, and
    "kubernetes:///service.namespace:port" one for each ready pod of a Service.

    Args:
        connect: opens the source of a Service's EndpointSlices, by service and namespace.

    Raises:
        ValueError: the list is empty, or an entry has no host or no port, or a Service no namespace.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        connect: Callable[[str, str], Awaitable[SliceSource]] = ClusterSource.open,
    ) -> None:
        check_endpoints(endpoints)
        self._static: list[str] = []
        self._names: dict[str, frozenset[str]] = {}
        self._services: list[ServiceWatch] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        for endpoint in endpoints:
            bare = endpoint.removeprefix(_DNS).removeprefix(_KUBERNETES)
            host, _, port = bare.rpartition(":")
            if endpoint.startswith(_KUBERNETES):
                service, _, namespace = host.partition(".")
                opened = functools.partial(connect, service, namespace)
                resolve = functools.partial(_resolve, bare)
                self._services.append(ServiceWatch(int(port), opened, resolve, self._news.set))
            elif endpoint.startswith(_DNS):
                self._names[endpoint] = frozenset()
            else:
                self._static.append(endpoint)

    @property
    def change(self) -> bool:
        """Whether the addresses can change."""
        return bool(self._names or self._services)

    async def start(self) -> None:
        """Begins to follow Services, and waits for their first answers, 3 s at most."""
        self._tasks = [asyncio.create_task(service.run()) for service in self._services]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_ANSWER_S):
                for service in self._services:
                    await service.answered.wait()

    async def close(self) -> None:
        """Stops following Services."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_change(self, at_most_s: float) -> None:
        """Returns when the pods of a Service have changed, or after `at_most_s`, when DNS is to be asked again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._news.wait()
        self._news.clear()

    async def addresses(self) -> frozenset[str]:
        """Returns the addresses now; a name that cannot be resolved keeps its latest ones."""
        for name in self._names:
            try:
                self._names[name] = await _resolve(name.removeprefix(_DNS))
            except OSError as problem:
                log.warning("name not resolved", endpoint=name, why=str(problem))
        followed = (service.addresses for service in self._services)
        return frozenset(self._static).union(*self._names.values(), *followed)


async def _resolve(endpoint: str) -> frozenset[str]:
    host, _, port = endpoint.rpartition(":")
    answers = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    addresses = {(family, str(address[0])) for family, _, _, _, address in answers}
    return frozenset(f"[{ip}]:{port}" if family == socket.AF_INET6 else f"{ip}:{port}" for family, ip in addresses)
