"""Both services as gRPC methods: bytes to requests, events to messages, errors to statuses."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from backdrop.contract.access import check_pipeline
from backdrop.contract.finishing import check_fits
from backdrop.contract.metadata import is_retry, longest_message, read_admission
from backdrop.contract.read import check_idempotency_key
from backdrop.contract.rules import maps_changes
from backdrop.errors import BackdropError, Reason, error, to_status, trailers
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.api.audit import GET_INFO, Audit, CallRecord, digests
from orchestrator.api.cold_start import ColdStart
from orchestrator.api.convert import response
from orchestrator.api.doors import Context, Doors
from orchestrator.api.idempotency import Claim, Idempotency
from orchestrator.api.parse import Parser, class_of
from orchestrator.events import Accepted, Event, Finished, Picture, StepDone
from orchestrator.identity.caller import Caller
from orchestrator.pipeline import Pipeline
from orchestrator.pipeline.entry import Entry
from orchestrator.quotas import Quotas
from orchestrator.request import Request
from orchestrator.telemetry import NO_TRACING, Tracing
from orchestrator.telemetry.audit_log import AuditLog
from orchestrator.telemetry.metrics import Metrics

log = structlog.get_logger("orchestrator.api.service")

M = TypeVar("M", bound=Message)
GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"].full_name
_GENERATE = f"/{GENERATION}/Generate"
INFO = info_pb.DESCRIPTOR.services_by_name["InfoService"].full_name
_GET_INFO = f"/{INFO}/GetInfo"


class Service:
    """Both services of `backdrop.v1`. Until `open` is called every method answers UNAVAILABLE."""

    def __init__(
        self,
        metrics: Metrics,
        tracing: Tracing = NO_TRACING,
        records: AuditLog | None = None,
        doors: Doors | None = None,
        cold: ColdStart | None = None,
    ) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._records = records or AuditLog()
        self._doors = doors or Doors()
        self._cold = cold or ColdStart()
        self._parser: Parser | None = None
        self._pipeline: Pipeline | None = None
        self._idempotency: Idempotency | None = None
        self._quotas: Quotas | None = None
        self._describe: Callable[[], info_pb.GetInfoResponse] | None = None

    def open(
        self,
        parser: Parser,
        pipeline: Pipeline,
        idempotency: Idempotency,
        describe: Callable[[], info_pb.GetInfoResponse],
        quotas: Quotas | None = None,
    ) -> None:
        """Accepts requests from now on; called once the models are checked. Without `quotas` nobody has one."""
        self._quotas = quotas
        self._parser, self._pipeline, self._idempotency, self._describe = parser, pipeline, idempotency, describe

    def introduce(self, describe: Callable[[], info_pb.GetInfoResponse]) -> None:
        """Answers InfoService from now on; called once the repository is read."""
        self._describe = describe

    def handlers(self) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """Handlers that take raw bytes, so that a malformed message gets our INVALID_ARGUMENT, not gRPC's INTERNAL.

        Generate is handled as a stream of requests: so the handler runs before the one message has arrived.
        """
        generate = grpc.stream_stream_rpc_method_handler(self.generate, response_serializer=_serialize)
        get_info = grpc.unary_unary_rpc_method_handler(self.get_info, response_serializer=_serialize)
        return [
            grpc.method_handlers_generic_handler(GENERATION, {"Generate": generate}),
            grpc.method_handlers_generic_handler(INFO, {"GetInfo": get_info}),
        ]

    async def generate(self, _: AsyncIterator[bytes], context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """GenerationService.Generate."""
        request_id, metadata = secrets.token_hex(16), context.invocation_metadata() or ()
        with self._tracing.request(_GENERATE[1:], metadata) as request_span:
            audit = Audit(request_id, self._metrics, request_span, self._records)
            try:
                audit.arrived(context.time_remaining())
                caller = await self._doors.admit(_GENERATE, context, audit.called)
                if (admission := read_admission(metadata)) is not None:
                    # A caller who is refused here need not send its pictures.
                    self._check(caller.tenant, *admission)
                async for message in self._generate(await _received(context), request_id, context, audit, caller):
                    yield message
                audit.close("OK")
            except BackdropError as problem:
                audit.close(problem.code.name, problem)
                await _abort(context, problem, request_id)
            except asyncio.CancelledError:
                audit.close("CANCELLED")
                raise
            except Exception:
                log.exception("request failed", request_id=request_id)
                audit.close("INTERNAL")
                await _abort(context, _internal(request_id), request_id)

    async def get_info(self, data: bytes, context: Context) -> info_pb.GetInfoResponse:
        """InfoService.GetInfo: needs no replica, once the repository is read."""
        request_id = secrets.token_hex(16)
        record = CallRecord(GET_INFO, request_id, self._records)
        try:
            caller = await self._doors.admit(_GET_INFO, context, record.called)
            _parse(info_pb.GetInfoRequest, data)
            if self._describe is None:
                raise _starting()
            answer = self._describe()
            answer.quotas.extend(await self._use(caller.tenant))
        except BackdropError as refusal:
            problem = refusal
        except Exception:
            log.exception("request failed", request_id=request_id)
            problem = _internal(request_id)
        else:
            record.close("OK")
            return answer
        record.close(problem.code.name, problem)
        await _abort(context, problem, request_id)
        raise AssertionError("abort raises")

    async def _generate(
        self, data: bytes, request_id: str, context: Context, audit: Audit, caller: Caller
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        if self._parser is None or self._pipeline is None or self._idempotency is None:
            raise self._not_ready()
        remaining_s, metadata = context.time_remaining(), context.invocation_metadata()
        deadline = None if remaining_s is None else time.monotonic() + remaining_s
        message = _parse(pb.GenerateRequest, data)
        del data
        check_idempotency_key(message.idempotency_key)
        # Refusals come first, before anything is awaited.
        elsewhere = self._check(caller.tenant, message.priority, message.idempotency_key, is_retry(metadata))
        request = self._parser.parse(message, request_id)
        audit.parsed(request)
        check_pipeline(caller.scopes, request.pipeline.name)
        channels = (4 if request.task.keeps_alpha else 3) + maps_changes(message)
        for layout in request.layouts:
            check_fits(layout.size, longest_message(metadata), channels)
        enter = functools.partial(self._enter, request, caller.tenant, deadline)
        async with contextlib.AsyncExitStack() as stack:
            entry = None if elsewhere else stack.enter_context(enter())

            def give_back() -> None:
                # A call that waits for another one with its key leaves its place to those that can work.
                nonlocal entry
                if entry is not None:
                    entry.turn.close()
                entry = None

            claim = await stack.enter_async_context(self._idempotency.claim(message, caller.tenant, give_back))
            if claim.replay is not None:
                audit.replayed()
                yield pb.GenerateResponse(accepted=pb.Accepted(request_id=request_id))
                for replayed in claim.replay:
                    yield replayed
                return
            entry = entry or stack.enter_context(enter())
            if self._quotas is not None:
                queued, keyed = entry.queued, bool(message.idempotency_key)
                hold = self._quotas.hold(
                    caller.tenant, request_id, request.work, stores=keyed, unspent=lambda: queued.work
                )
                await stack.enter_async_context(hold)
            audit.pictures(await asyncio.to_thread(digests, message))
            del message
            async with contextlib.aclosing(_messages(entry.events(), request, claim, audit)) as messages:
                async for reply in messages:
                    yield reply

    def _check(self, tenant: str, priority: int, key: str, again: bool) -> bool:
        """Refuses a call if no place is free, at the least cost. Returns whether it may need none.

        A call whose result is here needs no place; one that is made again may have its result in the shared cache.
        """
        if self._pipeline is None or self._idempotency is None:
            raise self._not_ready()
        elsewhere = again or self._idempotency.has(tenant, key)
        if not elsewhere:
            self._pipeline.check(class_of(priority), tenant)
            if self._quotas is not None:
                self._quotas.check(tenant)
            self._cold.check()
        return elsewhere

    def _enter(self, request: Request, tenant: str, deadline: float | None) -> Entry:
        assert self._pipeline is not None, "only an open service parses requests"
        self._cold.check()
        return self._pipeline.enter(request, tenant, deadline)

    def _not_ready(self) -> BackdropError:
        """Why nothing is served yet; a call notes that it needs a replica."""
        try:
            self._cold.check()
        except BackdropError as refusal:
            return refusal
        return _starting()

    async def _use(self, tenant: str) -> list[info_pb.Quota]:
        uses = await self._quotas.use(tenant) if self._quotas is not None else []
        return [info_pb.Quota(name=use.name, limit=use.limit, used=use.used) for use in uses]


async def _messages(
    events: AsyncGenerator[Event, None], request: Request, claim: Claim, audit: Audit
) -> AsyncGenerator[pb.GenerateResponse, None]:
    try:
        async for event in events:
            if isinstance(event, Accepted) and event.queue_position == 0:
                audit.started()
            message = response(event, request)
            if isinstance(event, StepDone):
                audit.stepped()
            if isinstance(event, Finished):
                audit.finished(event)
            if isinstance(event, Picture | Finished):
                claim.keep(message)
            yield message
    finally:
        await events.aclose()  # stops the work at once if the caller is gone, not at the next garbage collection


async def _received(context: Context) -> bytes:
    """The message of a call."""
    data = await context.read()
    if not isinstance(data, bytes):  # the end of the stream
        raise error(Reason.INVALID_MESSAGE, "the call has no message; check the client's protos.")
    return data


def _parse(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise error(Reason.INVALID_MESSAGE, f"the message is not a {name}; check the client's protos.") from None


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _starting() -> BackdropError:
    return error(Reason.NO_REPLICA, "the server is starting; its models are not checked yet.", retry_after_s=1.0)


def _internal(request_id: str) -> BackdropError:
    return error(Reason.INTERNAL, f"the server failed; quote request {request_id} when reporting it.")


async def _abort(context: Context, problem: BackdropError, request_id: str) -> None:
    problem.request_id = problem.request_id or request_id
    status = to_status(problem)
    await context.abort(problem.code, status.message, trailers(status))
