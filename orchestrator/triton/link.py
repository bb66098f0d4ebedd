"""The wire to one server: whether that server has opened our shared memory, and what to do if it has lost it."""

from __future__ import annotations

import asyncio
import contextlib
import enum

import structlog
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.telemetry.foreign import quoted
from orchestrator.triton.shared_memory import abandoned, ours
from orchestrator.triton.tensors import Arrays
from orchestrator.triton.wire import Wire

log = structlog.get_logger("orchestrator.triton")

_TIMEOUT_S = 2.0
# A busy server takes its time, and what it does not close it keeps.
_CLOSE_TIMEOUT_S = 5.0
# The server did not answer, which says nothing about its memory.
_NO_ANSWER = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")


class Access(enum.Enum):
    """Whether the server reads the region."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    OPEN = "open"
    NONE = "none"


class Link:
    """Lays out the inputs of calls to one server.

    With the first call, the server is asked in the background to open the region. Until it has, and if it cannot,
    tensors carry their bytes. A server that cannot open the region shares no memory with us and is not asked again.
    """

    def __init__(self, wire: Wire, client: InferenceServerClient, address: str, *, shared: bool) -> None:
        self.access = Access.UNKNOWN if shared and wire.region is not None else Access.NONE
        self._wire = wire
        self._client = client
        self._address = address
        self._request: asyncio.Task[None] | None = None

    def tensors(self, inputs: Arrays) -> list[InferInput]:
        """Returns the inputs of one call as Triton takes them."""
        if self.access is Access.UNKNOWN:
            self.access = Access.REQUESTED
            self._request = asyncio.create_task(self._request_access())
        return self._wire.tensors(inputs, by_reference=self.access is Access.OPEN)

    def lost_region(self, detail: str) -> bool:
        """Whether a call failed because a restarted server does not know the region; it is then asked again."""
        if self.access is Access.NONE or "shared memory region" not in detail:
            return False
        if self.access is Access.OPEN:  # else another call that was in flight has said so
            self.access = Access.UNKNOWN
        return True

    async def close(self) -> None:
        """Has the server close the region; otherwise it keeps the memory of a process that is gone."""
        if self._request is not None:
            self._request.cancel()
        if self.access is Access.OPEN and self._wire.region is not None:
            self.access = Access.NONE
            with contextlib.suppress(InferenceServerException):
                name = self._wire.region.name
                await self._client.unregister_system_shared_memory(name, client_timeout=_CLOSE_TIMEOUT_S)

    async def _request_access(self) -> None:
        region = self._wire.region
        assert region is not None, "without a region, access is NONE"
        try:
            await self._drop_abandoned()
            await self._client.register_system_shared_memory(
                region.name, region.key, region.size, client_timeout=_TIMEOUT_S
            )
        except InferenceServerException as problem:
            if problem.status() in _NO_ANSWER:
                self.access = Access.UNKNOWN
            elif "already in manager" in str(problem.message()):
                self.access = Access.OPEN  # it was not restarted after all
            else:
                self.access = Access.NONE
                log.info(
                    "no shared memory with the replica", replica=self._address, why=quoted(problem.message() or "")
                )
        else:
            self.access = Access.OPEN

    async def _drop_abandoned(self) -> None:
        """Has the server close the regions of processes that were killed before they could."""
        status = await self._client.get_system_shared_memory_status(client_timeout=_TIMEOUT_S)
        for name in status.regions:
            if ours(name) and abandoned(name):
                await self._client.unregister_system_shared_memory(name, client_timeout=_TIMEOUT_S)
