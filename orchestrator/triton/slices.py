"""Triton's pods as Kubernetes names them: a list, then a watch, of the EndpointSlices of a headless Service.

The client's own `Watch` reads lines of at most 64 KiB; a slice of 100 pods can be longer, so lines are assembled here.
The API server may forget a version (410 Gone), close the connection, or fall silent. None of these empties the set: the
latest addresses stay until a new list has been read. While the API does not answer, DNS is asked for the same pods.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from orchestrator.telemetry.foreign import quoted

log = structlog.get_logger("orchestrator.triton")

_GONE = 410
_WATCH_S = 30
"""The server ends a watch after this time; a silent one is noticed after twice as long."""
_LIST_S = 2.0
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0)


class SliceSource(Protocol):
    """Reads the slices of one Service."""

    async def list(self) -> Mapping[str, Any]:
        """An EndpointSliceList as plain JSON."""
        ...

    def watch(self, resource_version: str) -> AsyncIterator[Mapping[str, Any]]:
        """Watch events after a version, as plain JSON, until the server ends the watch."""
        ...

    async def close(self) -> None:
        """Closes the connection."""
        ...


class ApiFailed(Exception):  # noqa: N818  # an outcome inside this package, never raised to a caller
    """The API server refused or did not answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ServiceWatch:
    """The ready pods of one Service, kept current until `run` is cancelled.

    Args:
        port: of each pod.
        connect: opens the source; called again after a failure to open it.
        resolve: the addresses that DNS has for the Service; OSError when it has none.
        changed: called after the set may have changed.
    """

    def __init__(
        self,
        port: int,
        connect: Callable[[], Awaitable[SliceSource]],
        resolve: Callable[[], Awaitable[frozenset[str]]],
        changed: Callable[[], None],
    ) -> None:
        self.addresses: frozenset[str] = frozenset()
        self.answered = asyncio.Event()
        """Set once the API or DNS has answered for the first time."""
        self._port = port
        self._connect = connect
        self._resolve = resolve
        self._changed = changed
        self._slices: dict[str, frozenset[str]] = {}
        self._version = ""  # of the latest event; empty = read a list first

    async def run(self) -> None:
        """Follows the Service until cancelled."""
        failures = 0
        while True:
            try:
                source = await self._connect()
            except Exception as problem:  # no configuration, no token, no client: DNS remains
                failures = await self._failed(failures, problem)
                continue
            try:
                while True:
                    try:
                        await self._follow(source)
                        failures = 0
                    except (ApiFailed, OSError, TimeoutError, ValueError, KeyError) as problem:
                        failures = await self._failed(failures, problem)
            finally:
                await source.close()

    async def _follow(self, source: SliceSource) -> None:
        """One list, if one is needed, and one watch to its end."""
        if not self._version:
            async with asyncio.timeout(_LIST_S):
                slices = await source.list()
            self._slices = {item["metadata"]["name"]: ready(item, self._port) for item in slices["items"]}
            self._version = slices["metadata"]["resourceVersion"]
            self._take(frozenset[str]().union(*self._slices.values()))
        # The server was asked to end the watch after half of this time; later than that, it is gone.
        async with asyncio.timeout(2 * _WATCH_S):
            async for event in source.watch(self._version):
                self._apply(event)

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiFailed(item.get("code", 0), item.get("message", ""))
        metadata = item["metadata"]
        self._version = metadata["resourceVersion"]
        if kind == "DELETED":
            self._slices.pop(metadata["name"], None)
        elif kind in ("ADDED", "MODIFIED"):
            self._slices[metadata["name"]] = ready(item, self._port)
        else:
            return  # a bookmark: it brings a version alone
        self._take(frozenset[str]().union(*self._slices.values()))

    async def _failed(self, failures: int, problem: Exception) -> int:
        """Handles one more failure and returns their number. The first has no effect: watches do get cut."""
        if isinstance(problem, ApiFailed) and problem.status == _GONE:
            # The server has forgotten our version: not a fault, but a new list is needed.
            self._version = ""
        if failures == 0:
            return 1
        if failures == 1:
            log.warning("endpoint slices not followed", why=quoted(str(problem)) or type(problem).__name__)
        # Addresses from DNS belong to no version, so once the API answers again, it is asked for a list.
        self._version = ""
        try:
            self._take(await self._resolve())
        except OSError as unknown:
            if failures == 1:
                log.warning("name not resolved", why=str(unknown))
        await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S)) - 1])
        return failures + 1

    def _take(self, addresses: frozenset[str]) -> None:
        self.answered.set()
        if addresses != self.addresses:
            log.info("triton pods", were=sorted(self.addresses), are=sorted(addresses))
            self.addresses = addresses
            self._changed()


def ready(item: Mapping[str, Any], port: int) -> frozenset[str]:
    """The addresses of a slice's ready endpoints. A pod that terminates is not ready, though it may still answer."""
    host = "[{}]" if item.get("addressType") == "IPv6" else "{}"
    return frozenset(
        f"{host.format(address)}:{port}"
        for endpoint in item.get("endpoints") or ()
        # By the API's definition, unknown counts as ready.
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint["addresses"]
    )


class ClusterSource:
    """The slices of one Service from the API server of the cluster that this process runs in."""

    @classmethod
    async def open(cls, service: str, namespace: str) -> ClusterSource:
        """Reads the pod's configuration.

        Raises:
            ConfigException: this process is not in a cluster, or was given no token.
        """
        # The import takes seconds, in which health checks must be answered; only a process in a cluster pays for it.
        await asyncio.to_thread(importlib.import_module, "kubernetes.aio.client.api.discovery_v1_api")
        return cls(service, namespace)

    def __init__(self, service: str, namespace: str) -> None:
        from kubernetes.aio import client, config

        configuration = client.Configuration()
        # The configuration reads the mounted token again when it is renewed.
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        self._failure: type[Exception] = client.ApiException
        self._client = client.ApiClient(configuration)
        api = client.DiscoveryV1Api(self._client)
        self._call = api.list_namespaced_endpoint_slice_without_preload_content
        self._namespace = namespace
        self._selector = f"kubernetes.io/service-name={service}"

    async def list(self) -> Mapping[str, Any]:
        """An EndpointSliceList as plain JSON.

        Raises:
            ApiFailed: the API server refused, or could not be reached.
        """
        response = await self._ask(_request_timeout=_LIST_S)
        slices: Mapping[str, Any] = json.loads(await response.read())
        return slices

    async def watch(self, resource_version: str) -> AsyncIterator[Mapping[str, Any]]:
        """Watch events after a version, until the server ends the watch.

        Raises:
            ApiFailed: the API server refused, or the connection broke.
        """
        from aiohttp import ClientError

        response = await self._ask(
            watch=True,
            resource_version=resource_version,
            allow_watch_bookmarks=True,
            timeout_seconds=_WATCH_S,
            _request_timeout=2.0 * _WATCH_S,
        )
        rest = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        yield json.loads(line)
        except ClientError as problem:
            raise ApiFailed(0, str(problem)) from None
        finally:
            response.close()

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _ask(self, **options: Any) -> Any:
        from aiohttp import ClientError

        try:
            response = await self._call(self._namespace, label_selector=self._selector, **options)
        except self._failure as problem:
            raise ApiFailed(getattr(problem, "status", 0) or 0, str(getattr(problem, "reason", problem))) from None
        except ClientError as problem:
            raise ApiFailed(0, str(problem)) from None
        if response.status >= 400:
            detail = await response.text()
            response.close()
            raise ApiFailed(response.status, detail[:200])
        return response
