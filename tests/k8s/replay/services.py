"""Services: one address each that forwards connections to ready pods, and their slices in the API server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable

from tests.k8s.api_server import ApiServer, endpoint
from tests.k8s.rendering import Manifest
from tests.k8s.replay.pod import Pod


class Service:
    """One Service of the manifests.

    In a cluster a headless Service has no address. Here it has one, which stands for its DNS name.
    """

    def __init__(self, manifest: Manifest, address: str, pods: Callable[[], list[Pod]]) -> None:
        self.name = str(manifest["metadata"]["name"])
        self.address = address
        self._spec = manifest["spec"]
        self._pods = pods
        self._next = itertools.count()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens on every port of the Service."""
        for port in self._spec["ports"]:
            forward = self._forwarder(port.get("targetPort", port["port"]))
            self._servers.append(await asyncio.start_server(forward, self.address, port["port"]))

    async def stop(self) -> None:
        """Closes every connection."""
        for server in self._servers:
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def selected(self) -> list[Pod]:
        """The pods that its selector matches."""
        return [pod for pod in self._pods() if self._spec["selector"].items() <= pod.labels.items()]

    def publish(self, api: ApiServer) -> None:
        """Writes its slice to the API server, as the endpoint controller would."""
        listed = [endpoint(pod.address, ready=pod.ready, terminating=pod.terminating) for pod in self.selected()]
        if api.slices.get(self.name, {}).get("endpoints") != listed:
            api.put(self.name, listed)

    def _forwarder(self, target: int | str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._forward(reader, writer, target))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return accepted

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int | str) -> None:
        """Forwards one connection to one ready pod until either side closes it, as kube-proxy does."""
        ready = [pod for pod in self.selected() if pod.ready]
        try:
            if not ready:
                return
            pod = ready[next(self._next) % len(ready)]
            port = next((port for container in pod.containers for port in _ports(container.spec, target)), None)
            if port is None:
                return
            there_reader, there_writer = await asyncio.open_connection(pod.address, port)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there_writer))
                group.create_task(_pump(there_reader, writer))
        except* OSError:
            pass
        finally:
            writer.close()


def _ports(container: Manifest, target: int | str) -> list[int]:
    """The container's ports that a Service's targetPort names; none for an unknown name."""
    if isinstance(target, int):
        return [target]
    return [port["containerPort"] for port in container.get("ports", []) if port.get("name") == target]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.close()
