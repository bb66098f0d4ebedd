"""A small API server for EndpointSlices. On request it drops watches, forgets versions, or answers late or never."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from aiohttp import web

PATH = "/apis/discovery.k8s.io/v1/namespaces/backdrop/endpointslices"


def endpoint(address: str, ready: bool = True, terminating: bool = False) -> dict[str, Any]:
    """One pod, as an EndpointSlice lists it."""
    return {"addresses": [address], "conditions": {"ready": ready, "serving": True, "terminating": terminating}}


class ApiServer:
    """An API server whose attributes tests change while it runs.

    Attributes:
        refuses: HTTP status of every answer, or 0 to answer normally.
        silent: watches open and then send nothing.
        delay_s: seconds before each event.
        chunk: bytes written at once; 0 = whole lines.
        lists, watches: the resourceVersions asked for; tokens: the Authorization headers.
    """

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.slices: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[int, dict[str, Any]]] = []
        self.refuses = 0
        self.silent = False
        self.delay_s = 0.0
        self.chunk = 0
        self.lists = 0
        self.watches: list[str] = []
        self.tokens: list[str] = []
        self.url = ""
        self._news = asyncio.Event()
        self._streams: list[web.Request] = []
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Starts listening."""
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        self.url = f"{'https' if tls else 'http'}://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stops, and ends its watches."""
        self.drop()
        if self._runner is not None:
            await self._runner.cleanup()

    def put(self, name: str, endpoints: list[dict[str, Any]], address_type: str = "IPv4") -> None:
        """Creates or changes a slice."""
        self.version += 1
        kind = "MODIFIED" if name in self.slices else "ADDED"
        item = {
            "metadata": {"name": name, "resourceVersion": str(self.version)},
            "addressType": address_type,
            "endpoints": endpoints,
            "ports": [{"name": "grpc", "port": 8001, "protocol": "TCP"}],
        }
        self.slices[name] = item
        self._event(kind, item)

    def delete(self, name: str) -> None:
        """Removes a slice."""
        self.version += 1
        item = self.slices.pop(name)
        self._event("DELETED", {**item, "metadata": {"name": name, "resourceVersion": str(self.version)}})

    def bookmark(self) -> None:
        """Sends a bookmark: a newer version to every watch, without a change."""
        self.version += 10
        self._event("BOOKMARK", {"metadata": {"resourceVersion": str(self.version)}})

    def forget(self) -> None:
        """Drops all versions before now (compaction); watches from them get 410."""
        self.version += 1
        self.oldest = self.version

    async def watched(self) -> None:
        """Waits until a watch is open."""
        while not self._streams:  # noqa: ASYNC110  # a test's own loop
            await asyncio.sleep(0.005)

    def drop(self) -> None:
        """Cuts every open watch in the middle."""
        for request in list(self._streams):
            if request.transport is not None:
                request.transport.abort()

    def _event(self, kind: str, item: dict[str, Any]) -> None:
        self.log.append((self.version, {"type": kind, "object": item}))
        self._news.set()
        self._news = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.refuses:
            return web.json_response({"kind": "Status", "code": self.refuses}, status=self.refuses)
        if request.query.get("labelSelector") != "kubernetes.io/service-name=triton":
            return web.json_response({"kind": "Status", "code": 400}, status=400)
        if request.query.get("watch") in ("true", "True", "1"):
            return await self._watch(request)
        self.lists += 1
        items = list(self.slices.values())
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        self.watches.append(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self._streams.append(request)
        try:
            if since < self.oldest:
                gone = {"code": 410, "reason": "Expired", "message": "too old resource version"}
                await self._write(response, {"type": "ERROR", "object": gone})
                return response
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while True:
                    news = self._news
                    for version, event in self.log:
                        if version > since and not self.silent:
                            since = version
                            await asyncio.sleep(self.delay_s)
                            await self._write(response, event)
                    await news.wait()
        except (TimeoutError, ConnectionError):
            return response
        finally:
            self._streams.remove(request)

    async def _write(self, response: web.StreamResponse, event: dict[str, Any]) -> None:
        line = json.dumps(event).encode() + b"\n"
        step = self.chunk or len(line)
        for start in range(0, len(line), step):
            await response.write(line[start : start + step])
