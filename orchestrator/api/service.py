"""The gRPC face: bytes to requests, events to messages, errors to statuses. Nothing is computed here."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from backdrop.errors import BackdropError, Reason, error, to_status, trailers
from backdrop.v1 import generation_service_pb2 as pb
from backdrop.v1 import info_service_pb2 as info_pb
from orchestrator.api.callers import Caller, caller_of
from orchestrator.api.convert import response
from orchestrator.api.idempotency import Claim, Idempotency
from orchestrator.api.parse import Parser, check_idempotency_key
from orchestrator.domain import Accepted, Finished, Job
from orchestrator.pipeline import Pipeline
from orchestrator.telemetry import NO_TRACING, Tracing, past_span
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import RequestSpan

Context = grpc.aio.ServicerContext[Any, Any]
log = structlog.get_logger("orchestrator.api.service")

M = TypeVar("M", bound=Message)
GENERATION = pb.DESCRIPTOR.services_by_name["GenerationService"].full_name
INFO = info_pb.DESCRIPTOR.services_by_name["InfoService"].full_name


class Service:
    """Both services of `backdrop.v1`. Until `open` is called every method answers UNAVAILABLE."""

    def __init__(self, metrics: Metrics, tracing: Tracing = NO_TRACING) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._parser: Parser | None = None
        self._pipeline: Pipeline | None = None
        self._idempotency: Idempotency | None = None
        self._describe: Callable[[], info_pb.GetInfoResponse] | None = None

    def open(
        self,
        parser: Parser,
        pipeline: Pipeline,
        idempotency: Idempotency,
        describe: Callable[[], info_pb.GetInfoResponse],
    ) -> None:
        """Lets requests in: the models were checked."""
        self._parser, self._pipeline, self._idempotency, self._describe = parser, pipeline, idempotency, describe

    def handlers(self) -> list[grpc.GenericRpcHandler[Any, Any]]:
        """Handlers that take raw bytes, so that a malformed message gets our own INVALID_ARGUMENT, not INTERNAL."""
        generate = grpc.unary_stream_rpc_method_handler(self.generate, response_serializer=_serialize)
        get_info = grpc.unary_unary_rpc_method_handler(self.get_info, response_serializer=_serialize)
        return [
            grpc.method_handlers_generic_handler(GENERATION, {"Generate": generate}),
            grpc.method_handlers_generic_handler(INFO, {"GetInfo": get_info}),
        ]

    async def generate(self, data: bytes, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        """GenerationService.Generate."""
        request_id = uuid.uuid4().hex
        with self._tracing.request(f"{GENERATION}/Generate", context.invocation_metadata() or ()) as request_span:
            audit = _Audit(request_id, self._metrics, request_span)
            try:
                async for message in self._generate(data, request_id, context, audit):
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
        """InfoService.GetInfo."""
        try:
            _parse(info_pb.GetInfoRequest, data)
            if self._describe is None:
                raise _not_ready()
            return self._describe()
        except BackdropError as problem:
            await _abort(context, problem, "")
            raise AssertionError("abort raises") from None

    async def _generate(
        self, data: bytes, request_id: str, context: Context, audit: _Audit
    ) -> AsyncGenerator[pb.GenerateResponse, None]:
        if self._parser is None or self._pipeline is None or self._idempotency is None:
            raise _not_ready()
        left = context.time_remaining()
        deadline = None if left is None else time.monotonic() + left
        request = _parse(pb.GenerateRequest, data)
        check_idempotency_key(request.idempotency_key)
        async with self._idempotency.claim(request) as claim:
            if claim.replay is not None:
                audit.outcome("replayed")
                yield pb.GenerateResponse(accepted=pb.Accepted(request_id=request_id))
                yield pb.GenerateResponse(result=claim.replay)
                return
            job = await asyncio.to_thread(self._parser.parse, request, request_id)
            audit.job(job, request)
            del request, data  # the encoded pictures are not needed again, and a job may wait long in the queue
            caller = caller_of(context.auth_context())
            async for message in _messages(self._pipeline, job, caller, deadline, claim, audit):
                yield message


async def _messages(
    pipeline: Pipeline, job: Job, caller: Caller, deadline: float | None, claim: Claim, audit: _Audit
) -> AsyncGenerator[pb.GenerateResponse, None]:
    events = pipeline.run(job, caller, deadline)
    try:
        async for event in events:
            if isinstance(event, Accepted) and event.queue_position == 0:
                audit.started()
            message = response(event, job)
            if isinstance(event, Finished):
                audit.finished(event)
                claim.result = message.result
            yield message
    finally:
        await events.aclose()  # a caller who left must not leave work behind until the garbage collector comes


class _Audit:
    """One record a request: what was asked, by digest and number only, and what came of it. No prompts, no pixels."""

    def __init__(self, request_id: str, metrics: Metrics, span: RequestSpan) -> None:
        self._fields: dict[str, Any] = {"request_id": request_id}
        self._metrics = metrics
        self._span = span
        span.describe(request_id=request_id)
        if span.trace_id:
            self._fields["trace_id"] = span.trace_id
        self._begin = time.monotonic()

    def job(self, job: Job, request: pb.GenerateRequest) -> None:
        self._fields |= {
            "pipeline": job.pipeline.name, "variants": job.variants, "steps": job.steps, "seed": job.seed,
            "scheduler": job.scheduler, "row_steps": job.row_steps, "style_images": len(job.style),
            "priority": job.priority.name.lower(),
            "photo": f"{job.photo.shape[1]}x{job.photo.shape[0]}",
            "product_sha256": hashlib.sha256(request.product).hexdigest(),
        }  # fmt: skip
        self._span.describe(pipeline=job.pipeline.name, variants=job.variants, steps=job.steps, row_steps=job.row_steps)

    def outcome(self, outcome: str) -> None:
        self._fields["outcome"] = outcome

    def started(self) -> None:
        queued_s = time.monotonic() - self._begin
        self._fields["queued_s"] = round(queued_s, 4)
        past_span("admission", queued_s)
        self._metrics.queued(queued_s)

    def finished(self, event: Finished) -> None:
        self._fields["stages_s"] = {stage.name.lower(): round(s, 4) for stage, s in event.timings.items()}
        self._metrics.finished(event)

    def close(self, status: str, problem: BackdropError | None = None) -> None:
        seconds = time.monotonic() - self._begin
        if problem is not None:
            self._fields |= {"reason": problem.reason.value, "field": problem.field}
        self._metrics.request(status, seconds)
        self._span.status(status)
        log.info("request", status=status, seconds=round(seconds, 4), **self._fields)


def _parse(kind: type[M], data: bytes) -> M:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise error(Reason.INVALID_MESSAGE, f"the message is not a {name}; check the client's protos.") from None


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _not_ready() -> BackdropError:
    return error(Reason.NO_REPLICA, "the server is starting; its models are not checked yet.", retry_after_s=1.0)


def _internal(request_id: str) -> BackdropError:
    return error(Reason.INTERNAL, f"the server failed; quote request {request_id} when reporting it.")


async def _abort(context: Context, problem: BackdropError, request_id: str) -> None:
    problem.request_id = problem.request_id or request_id
    status = to_status(problem)
    await context.abort(problem.code, status.message, trailers(status))
