"""One server's side of the wire: whether it sees our shared memory, and what to do when it has forgotten it."""

from __future__ import annotations

import asyncio
import contextlib
import enum

import structlog
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.triton.shared_memory import abandoned, ours
from orchestrator.triton.tensors import Arrays
from orchestrator.triton.wire import Wire

log = structlog.get_logger("orchestrator.triton")

_TIMEOUT_S = 2.0
# It did not answer: that says nothing about its memory.
_NO_ANSWER = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")


class Sight(enum.Enum):
    """What is known of whether the server sees the region."""

    UNTRIED = "untried"
    ASKED = "asked"
    SEES = "sees"
    BLIND = "blind"


class Link:
    """Lays out the inputs of calls to one server.

    It is asked to open the region with the first call, in the background: until it has, and wherever it cannot, tensors
    carry their bytes. Where the region cannot be opened, memory is not shared, so there is nothing else to find out.
    """

    def __init__(self, wire: Wire, client: InferenceServerClient, address: str, *, shared: bool) -> None:
        self.sight = Sight.UNTRIED if shared and wire.region is not None else Sight.BLIND
        self._wire = wire
        self._client = client
        self._address = address
        self._asking: asyncio.Task[None] | None = None

    def tensors(self, inputs: Arrays) -> list[InferInput]:
        """Returns the inputs of one call as Triton takes them."""
        if self.sight is Sight.UNTRIED:
            self.sight = Sight.ASKED
            self._asking = asyncio.create_task(self._ask())
        return self._wire.tensors(inputs, by_reference=self.sight is Sight.SEES)

    def forgotten(self, detail: str) -> bool:
        """Whether a call failed because the server, started anew, does not know the region; it is then asked again."""
        if self.sight is not Sight.SEES or "shared memory region" not in detail:
            return False
        self.sight = Sight.UNTRIED
        return True

    async def close(self) -> None:
        """Has the server let go of the region: it would keep the memory of a process that is gone."""
        if self._asking is not None:
            self._asking.cancel()
        if self.sight is Sight.SEES and self._wire.region is not None:
            self.sight = Sight.BLIND
            with contextlib.suppress(InferenceServerException):
                name = self._wire.region.name
                await self._client.unregister_system_shared_memory(name, client_timeout=_TIMEOUT_S)

    async def _ask(self) -> None:
        region = self._wire.region
        assert region is not None, "nobody asks without a region"
        try:
            await self._drop_abandoned()
            await self._client.register_system_shared_memory(
                region.name, region.key, region.size, client_timeout=_TIMEOUT_S
            )
        except InferenceServerException as problem:
            if problem.status() in _NO_ANSWER:
                self.sight = Sight.UNTRIED
            elif "already in manager" in str(problem.message()):
                self.sight = Sight.SEES  # it was not started anew, though it seemed so
            else:
                self.sight = Sight.BLIND
                log.info("no shared memory with the replica", replica=self._address, why=str(problem.message()))
        else:
            self.sight = Sight.SEES

    async def _drop_abandoned(self) -> None:
        """Has the server let go of regions whose process was killed before it could say so."""
        status = await self._client.get_system_shared_memory_status(client_timeout=_TIMEOUT_S)
        for name in status.regions:
            if ours(name) and abandoned(name):
                await self._client.unregister_system_shared_memory(name, client_timeout=_TIMEOUT_S)
