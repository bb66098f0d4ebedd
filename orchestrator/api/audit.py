"""One log record for each request: its settings and outcome, as digests and numbers. No prompts, no pixels."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import structlog
from google.protobuf.message import Message

from backdrop.errors import BackdropError, OverloadedError
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.events import Finished
from orchestrator.request import Request
from orchestrator.telemetry import past_span
from orchestrator.telemetry.metrics import Metrics, RequestCounts
from orchestrator.telemetry.tracing import RequestSpan

log = structlog.get_logger("orchestrator.service")
_LATER_S = 0.1


class Audit:
    """Collects the record of one request, and writes it when the request ends."""

    def __init__(self, request_id: str, metrics: Metrics, span: RequestSpan) -> None:
        self._fields: dict[str, Any] = {"request_id": request_id}
        self._metrics = metrics
        self._span = span
        self._request: Request | None = None
        span.describe(request_id=request_id)
        if span.trace_id:
            self._fields["trace_id"] = span.trace_id
        self._begin = time.monotonic()

    def arrived(self, remaining_s: float | None) -> None:
        """Records how long the caller will wait, from now on."""
        if remaining_s is not None:
            self._fields["remaining_s"] = round(remaining_s, 4)

    def parsed(self, request: Request) -> None:
        """Records the settings of a valid request."""
        self._request = request
        sampling, selection = request.parts.sampling, request.parts.selection
        described: dict[str, str | int] = {
            "task": request.task.name,
            "pipeline": sampling.pipeline,
            "variants": selection.variants,
            "steps": sampling.steps,
            "row_steps": request.usage.row_steps,
        }
        self._fields |= described | {
            "seed": sampling.seed,
            "scheduler": sampling.scheduler,
            "style_images": request.style_pictures,
            "adapters": sorted(request.adapters),
            "priority": request.parts.priority.name.lower(),
            "size": f"{request.input.size.width}x{request.input.size.height}",
        }
        self._span.describe(**described)

    def pictures(self, sha256: dict[str, str]) -> None:
        """Records the digests of the task's pictures."""
        self._fields["input_sha256"] = sha256

    def outcome(self, outcome: str) -> None:
        """Records how the request ended, if its gRPC status does not say it."""
        self._fields["outcome"] = outcome

    def started(self) -> None:
        """Records that the request was admitted."""
        queued_s = time.monotonic() - self._begin
        self._fields["queued_s"] = round(queued_s, 4)
        past_span("admission", queued_s)
        self._metrics.queued(queued_s)

    def finished(self, event: Finished) -> None:
        """Records that the pictures of the request are ready."""
        assert self._request is not None, "only a valid request finishes"
        stages_s = {stage.name.lower(): seconds for stage, seconds in event.timings.items()}
        self._fields["stages_s"] = {stage: round(seconds, 4) for stage, seconds in stages_s.items()}
        self._metrics.finished(_counts(event, self._request), stages_s)

    def close(self, status: str, problem: BackdropError | None = None) -> None:
        """Counts and writes a request that ended; a refusal for overload is written a little later."""
        self._span.status(status)
        seconds = time.monotonic() - self._begin
        if isinstance(problem, OverloadedError):
            # Counting and writing take longer than refusing, and others may wait for their refusal.
            asyncio.get_running_loop().call_later(_LATER_S, self._write, status, seconds, problem)
        else:
            self._write(status, seconds, problem)

    def _write(self, status: str, seconds: float, problem: BackdropError | None) -> None:
        if problem is not None:
            self._fields |= {"reason": problem.reason.value, "field": problem.field}
        self._metrics.request(status, seconds)
        log.info("request", status=status, seconds=round(seconds, 4), **self._fields)


def _counts(event: Finished, request: Request) -> RequestCounts:
    usage = request.usage
    return RequestCounts(
        pipeline=request.pipeline.name,
        row_steps=usage.row_steps,
        saved_row_steps=usage.saved_row_steps,
        work=usage.work,
        pictures=event.pictures,
        style_pictures=request.style_pictures,
    )


def digests(message: pb.GenerateRequest) -> dict[str, str]:
    """SHA-256 of each picture that the task's message holds, by its field. Blocks."""
    return dict(_digests(getattr(message, message.WhichOneof("task") or "")))


def _digests(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if isinstance(value, bytes):
            yield f"{prefix}{field.name}", hashlib.sha256(value).hexdigest()
        elif field.is_repeated and field.message_type is not None:
            for index, each in enumerate(value):
                yield from _digests(each, f"{prefix}{field.name}[{index}].")
