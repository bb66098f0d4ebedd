"""One Triton server: its channel, the calls in flight on it, and whether the pool uses it."""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import numpy.typing as npt
from tritonclient.grpc import InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.telemetry import headers
from orchestrator.triton.causes import CallFailed, Cause, Verdict, classify
from orchestrator.triton.link import Link
from orchestrator.triton.tensors import Arrays, ModelMetadata, batch_rows, from_wire, read_config
from orchestrator.triton.wire import Wire

_T = TypeVar("_T")

# Larger than any batch that a model here takes; gRPC's own bound is 4 MiB.
_MAX_MESSAGE_BYTES = 256 << 20


class Standing(enum.Enum):
    """Whether the pool uses a replica."""

    READY = "ready"
    SUSPECT = "suspect"
    OUT = "out"


class Replica:
    """A channel to one server, made in an event loop. Raises `CallFailed` and nothing else, apart from cancellation.

    Attributes:
        address: host:port.
        standing: OUT until its first probe passes.
        outstanding: rows sent and not answered, those that no caller waits for any more included.
        last_used: a counter's value at the last call; breaks ties between equally loaded replicas.
        lacks: models that it does not serve; the one that was asked for longest ago is first.
        doubts: models that failed on it and must run once before it is used again.
        failures: number of failed calls that counted against it; a probe that began before the latest proves nothing.
        cause: why its latest probe failed; None if it passed.
        probed: set once the first probe has ended, whatever its result.
        wake: set to have it probed at once.
    """

    def __init__(self, address: str, wire: Wire | None = None, *, shared: bool = False) -> None:
        self.address = address
        self.standing = Standing.OUT
        self.outstanding = 0
        self.last_used = 0
        self.lacks: dict[str, None] = {}
        self.doubts: set[str] = set()
        self.failures = 0
        self.cause: Cause | None = None
        self.probed = asyncio.Event()
        self.wake = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._hung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._client = InferenceServerClient(
            address,
            channel_args=[
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                # A proxy of the environment is for the world outside, and replicas are in the cluster.
                ("grpc.enable_http_proxy", 0),
                # With gRPC's defaults a channel may notice up to 8 s late that its server is back.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 500),
                # Connects anew where a link drops packets without a word. Probes find it sooner, but on the old
                # connection none would ever pass again.
                ("grpc.keepalive_time_ms", 4_000),
                ("grpc.keepalive_timeout_ms", 4_000),
                ("grpc.http2.ping_timeout_ms", 4_000),
                # How long a new connection may take to answer; the default is 20 s.
                ("grpc.min_reconnect_backoff_ms", 4_000),
                # Retrying is the pool's business: it knows other replicas.
                ("grpc.enable_retries", 0),
            ],
        )
        self._link = Link(wire or Wire(), self._client, address, shared=shared)

    async def infer(
        self,
        model: str,
        inputs: Arrays,
        *,
        timeout_s: float,
        request_id: str,
        expected: Iterable[str],
        priority: int = 0,
    ) -> dict[str, npt.NDArray[Any]]:
        """Runs a model on a batch of rows. Cancelling it gives up the answer; the call ends at the server by itself."""
        rows = batch_rows(inputs)
        try:
            result = await self._call(model, inputs, rows, timeout_s, request_id, priority)
        except CallFailed as failure:
            if not self._link.lost_region(failure.detail):
                raise
            result = await self._call(model, inputs, rows, timeout_s, request_id, priority)
        return from_wire(result, rows, expected)

    async def _call(
        self, model: str, inputs: Arrays, rows: int, timeout_s: float, request_id: str, priority: int
    ) -> InferResult:
        call = asyncio.ensure_future(
            self._client.infer(
                model,
                self._link.tensors(inputs),
                request_id=request_id,
                priority=priority,
                client_timeout=timeout_s,
                headers=headers() or None,
            )
        )
        self.outstanding += rows
        self._calls.add(call)
        call.add_done_callback(functools.partial(self._ended, rows))
        hung = self._hung
        # Unlike `await call`, this does not cancel the call with its caller: Triton has crashed on cancelled calls, and
        # a step that runs is not stopped anyway (docs/decisions/0031-calls-run-to-their-end.md).
        await asyncio.wait({call, hung}, return_when=asyncio.FIRST_COMPLETED)
        if call.cancelled() or not call.done():
            raise CallFailed(Cause.HUNG, "the server stopped answering while the call ran")
        return await _ours(call)

    def _ended(self, rows: int, call: asyncio.Task[InferResult]) -> None:
        self._calls.discard(call)
        self.outstanding -= rows
        if not call.cancelled():
            call.exception()  # else asyncio reports it where no caller waits any more

    def abandon(self) -> None:
        """Lets every call in flight fail with HUNG, so that other replicas can take it."""
        self._hung.set_result(None)
        self._hung = asyncio.get_running_loop().create_future()

    async def check_ready(self, timeout_s: float) -> None:
        """Returns if the server says that it and all its models are ready."""
        if not await _ours(self._client.is_server_ready(client_timeout=timeout_s)):
            raise CallFailed(Cause.NO_MODEL, "the server says that it is not ready")

    async def metadata(self, model: str, timeout_s: float) -> ModelMetadata:
        """Returns what the server's config says of a model."""
        response = await _ours(self._client.get_model_config(model, client_timeout=timeout_s))
        return read_config(response.config)

    def judge(self, verdict: Verdict, model: str) -> bool:
        """Applies the verdict on a failed call; returns whether the standing fell."""
        if verdict is Verdict.KEEP:
            return False
        self.failures += 1
        self.doubts.add(model)
        self.wake.set()
        before = self.standing
        if verdict is Verdict.EJECT:
            self.standing = Standing.OUT
        elif before is Standing.READY:
            self.standing = Standing.SUSPECT
        return self.standing is not before

    async def close(self) -> None:
        """Waits for the calls in flight and closes the channel."""
        while self._calls:
            await asyncio.wait(self._calls)
        await self._link.close()
        await self._client.close()

    async def close_now(self) -> None:
        """Ends the calls in flight and closes the channel."""
        self.abandon()
        for call in self._calls:
            call.cancel()
        await self._link.close()
        await self._client.close()


async def _ours(call: Awaitable[_T]) -> _T:
    """Turns the client's exceptions into `CallFailed`: the one place that does."""
    try:
        return await call
    except InferenceServerException as problem:
        raise CallFailed(classify(problem), str(problem)) from None
