"""The fake's gRPC side: both services and health, as generic handlers over bytes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from backdrop._fake.generation import Run
from backdrop._fake.quotas import FakeQuotas
from backdrop._fake.request import Request, read_request
from backdrop._fake.script import Failure, Script
from backdrop.contract.access import (
    SCOPES,
    bearer_token,
    check_method,
    check_pipeline,
    no_credentials,
    unknown_credentials,
)
from backdrop.contract.finishing import check_fits
from backdrop.contract.metadata import longest_message
from backdrop.contract.rules import maps_changes
from backdrop.errors import BackdropError, Reason, error, to_status, trailers
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb

_SERVING, _NOT_SERVING = 1, 2

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


@dataclasses.dataclass
class _Kept:
    """Pictures and summary kept for their idempotency key; `lock` makes a second call wait for the first."""

    request: bytes
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)
    events: list[pb.GenerateResponse] = dataclasses.field(default_factory=list)
    """Empty until the first call has ended; the last one is the summary."""


class Service:
    """Answers calls as the contract says, as `script` tells it."""

    def __init__(
        self, script: Script, info: info_pb.GetInfoResponse, tokens: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._tokens = tokens
        self._script = script
        self._info = info
        self._kept: dict[str, _Kept] = {}
        self._slots = asyncio.Semaphore(info.limits.max_running)
        self._inside = 0
        self._quotas = FakeQuotas(info.quotas)

    def handlers(self) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """Returns the handlers of all services. They take raw bytes: a message that cannot be read is answered too."""
        generate = grpc.unary_stream_rpc_method_handler(
            self._generate, response_serializer=pb.GenerateResponse.SerializeToString
        )
        get_info = grpc.unary_unary_rpc_method_handler(
            self._get_info, response_serializer=info_pb.GetInfoResponse.SerializeToString
        )
        # HealthCheckRequest is one string and HealthCheckResponse one enum, on the wire the same as these two wrappers;
        # so the SDK needs no package for it.
        check = grpc.unary_unary_rpc_method_handler(
            self._check_health, StringValue.FromString, Int32Value.SerializeToString
        )
        services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {
            "backdrop.v1.GenerationService": {"Generate": generate},
            "backdrop.v1.InfoService": {"GetInfo": get_info},
            "grpc.health.v1.Health": {"Check": check},
        }
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]

    def _admit(self, method: str, context: Context) -> Collection[str]:
        """The scopes of the caller, if they cover the method."""
        if self._tokens is None:
            return SCOPES
        token = bearer_token(context.invocation_metadata())
        if token is None:
            raise no_credentials()
        if token not in self._tokens:
            raise unknown_credentials()
        check_method(self._tokens[token], method)
        return self._tokens[token]

    async def _get_info(self, request: bytes, context: Context) -> info_pb.GetInfoResponse:
        try:
            self._admit("/backdrop.v1.InfoService/GetInfo", context)
        except BackdropError as problem:
            await _abort(context, problem)
        if not self._script.ready:
            await _abort(context, error(Reason.NO_REPLICA, "The server is not ready yet; try again soon."))
        self._quotas.count()
        return self._info

    async def _check_health(self, request: StringValue, context: Context) -> Int32Value:
        if request.value not in ("", "backdrop.v1.GenerationService", "backdrop.v1.InfoService"):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return Int32Value(value=_SERVING if self._script.ready else _NOT_SERVING)

    async def _generate(self, raw: bytes, context: Context) -> AsyncGenerator[pb.GenerateResponse, None]:
        request_id = uuid.uuid4().hex
        try:
            # Closed by hand: when the caller leaves, locks and places in the queue are free at once.
            async with contextlib.aclosing(self._serve(raw, request_id, context)) as events:
                async for event in events:
                    yield event
        except BackdropError as exc:
            exc.request_id = request_id
            await _abort(context, exc)

    async def _serve(self, raw: bytes, request_id: str, context: Context) -> AsyncGenerator[pb.GenerateResponse, None]:
        scopes = self._admit("/backdrop.v1.GenerationService/Generate", context)
        try:
            request = pb.GenerateRequest.FromString(raw)
        except DecodeError:
            message = "The message is no GenerateRequest; do client and server come from the same release?"
            raise error(Reason.INVALID_MESSAGE, message) from None
        self._script.requests.append(request)
        failure = self._script.failures.pop(0) if self._script.failures else None
        if failure is not None and failure.after_steps == 0:
            raise failure.error
        if not self._script.ready:
            raise error(Reason.NO_REPLICA, "The server is not ready yet; try again soon.", retry_after_s=0.1)
        work = await asyncio.to_thread(read_request, request, self._info)
        check_pipeline(scopes, work.pipeline.name)
        for canvas in work.canvases:
            channels = (3 if canvas.scene is None else canvas.scene.shape[2]) + maps_changes(request)
            check_fits(canvas.size, longest_message(context.invocation_metadata()), channels)
        time_left_s = context.time_remaining()
        if time_left_s is not None and time_left_s < work.parts.sampling.steps * self._script.step_delay_s:
            raise error(Reason.DEADLINE_TOO_SHORT, "The deadline is shorter than the steps take; give it more time.")
        kept = self._keep(request)
        async with contextlib.AsyncExitStack() as stack, kept.lock:
            if kept.events:
                yield _accepted(request_id, work, 0)
                for event in kept.events:
                    yield event
                return
            run, results = Run(work, request_id, self._script), []
            self._quotas.take(work.usage.row_step_megapixels, keyed=bool(request.idempotency_key))
            stack.callback(self._quotas.give)
            async with contextlib.aclosing(self._queue(run, work, request_id, failure)) as events:
                async for event in events:
                    if event.WhichOneof("event") in ("picture", "summary"):
                        results.append(pb.GenerateResponse.FromString(event.SerializeToString()))
                    if event.HasField("summary"):
                        results[-1].summary.replayed = True
                        kept.events = results
                        if request.idempotency_key:
                            self._quotas.stored_bytes += sum(each.ByteSize() for each in results)
                    yield event

    async def _queue(
        self, run: Run, work: Request, request_id: str, failure: Failure | None
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        """Runs now if there is room, else waits its turn; refuses where too many wait already."""
        limits = self._info.limits
        if self._inside >= limits.max_running + limits.max_queued:
            raise error(Reason.QUEUE_FULL, "The queue is full; come back later.", retry_after_s=0.2)
        self._inside += 1
        try:
            ahead = max(0, self._inside - limits.max_running)
            yield _accepted(request_id, work, ahead)
            async with self._slots:
                if ahead:
                    yield _accepted(request_id, work, 0)
                async with contextlib.aclosing(run.events(failure)) as events:
                    async for event in events:
                        yield event
        finally:
            self._inside -= 1

    def _keep(self, request: pb.GenerateRequest) -> _Kept:
        """Returns what is kept for the request's idempotency key; something new where there is none."""
        serialized = request.SerializeToString(deterministic=True)
        if not request.idempotency_key:
            return _Kept(serialized)
        kept = self._kept.setdefault(request.idempotency_key, _Kept(serialized))
        if kept.request != serialized:
            message = "This idempotency_key was used with another request; use a new one."
            raise error(Reason.IDEMPOTENCY_KEY_REUSED, message, field="idempotency_key")
        return kept


def _accepted(request_id: str, work: Request, ahead: int) -> pb.GenerateResponse:
    accepted = pb.Accepted(request_id=request_id, queue_position=ahead, row_steps=work.usage.row_steps)
    return pb.GenerateResponse(accepted=accepted)


async def _abort(context: Context, exc: BackdropError) -> None:
    status = to_status(exc)
    await context.abort(exc.code, status.message, trailers(status))
