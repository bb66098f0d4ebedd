"""The audit record of a call, its log line and its counts: settings and outcome, as digests and numbers."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import time
from collections.abc import Iterator

import structlog
from google.protobuf.message import Message

from backdrop.errors import BackdropError, OverloadedError
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.events import Finished
from orchestrator.identity.caller import ANONYMOUS, Caller
from orchestrator.request import Request
from orchestrator.telemetry import past_span
from orchestrator.telemetry.audit_log import AuditLog
from orchestrator.telemetry.audit_record import Fields
from orchestrator.telemetry.metrics import Metrics, RequestCounts
from orchestrator.telemetry.tracing import RequestSpan

log = structlog.get_logger("orchestrator.service")
LATER_S = 0.3
"""After so long the record of a call that was refused for overload is written."""
GENERATE = "GenerationService/Generate"
GET_INFO = "InfoService/GetInfo"
_RECORD_ONLY = ("time", "method", "fingerprints", "message_bytes", "layouts", "top_k")
"""Fields that the log line does without."""


class CallRecord:
    """The record of a call of any method, written when it is closed."""

    def __init__(self, method: str, request_id: str, records: AuditLog) -> None:
        self._fields: Fields = {"request_id": request_id, "method": method}
        self._tenant = ANONYMOUS
        self._records = records
        self._begin = time.monotonic()

    def called(self, caller: Caller) -> None:
        """Records who called."""
        self._tenant = caller.tenant
        self._fields |= {"identity": caller.name, "tenant": caller.tenant}

    def close(self, status: str, problem: BackdropError | None = None) -> None:
        """Writes a call that ended."""
        self._write(status, time.monotonic() - self._begin, problem)

    def _write(self, status: str, seconds: float, problem: BackdropError | None) -> None:
        if problem is not None:
            self._fields |= {"reason": problem.reason.value, "field": problem.field}
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._fields |= {"status": status, "seconds": round(seconds, 4), "time": now}
        self._fields.setdefault("outcome", _outcome(status, begun="queued_s" in self._fields))
        self._records.write(self._fields)


class Audit(CallRecord):
    """Of a Generate call: also its log line, its counts, and the attributes of its span."""

    def __init__(self, request_id: str, metrics: Metrics, span: RequestSpan, records: AuditLog) -> None:
        super().__init__(GENERATE, request_id, records)
        self._metrics = metrics
        self._span = span
        self._request: Request | None = None
        self._steps_done = 0
        span.describe(request_id=request_id)
        if span.trace_id:
            self._fields["trace_id"] = span.trace_id

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
        self._fields.update(described)
        self._fields |= {
            "seed": sampling.seed,
            "scheduler": sampling.scheduler,
            "style_images": request.style_pictures,
            "adapters": sorted(request.adapters),
            "priority": request.parts.priority.name.lower(),
            "size": f"{request.input.size.width}x{request.input.size.height}",
            "layouts": len(request.layouts),
            "top_k": selection.top_k,
            "message_bytes": request.sent.size_bytes if request.sent else 0,
            "work": round(request.usage.work, 6),
            "fingerprints": dict(request.fingerprints),
        }
        self._span.describe(**described)

    def pictures(self, sha256: dict[str, str]) -> None:
        """Records the digests of the encoded pictures."""
        self._fields["input_sha256"] = dict(sha256)

    def replayed(self) -> None:
        """Records that the result is an earlier call's."""
        self._fields["outcome"] = "replayed"

    def started(self) -> None:
        """Records that the request was admitted."""
        queued_s = time.monotonic() - self._begin
        self._fields["queued_s"] = round(queued_s, 4)
        past_span("admission", queued_s)
        self._metrics.queued(queued_s)

    def stepped(self) -> None:
        """Counts a solver step of a variant."""
        self._steps_done += 1

    def finished(self, event: Finished) -> None:
        """Records that the pictures of the request are ready."""
        assert self._request is not None, "only a valid request finishes"
        stages_s = {stage.name.lower(): seconds for stage, seconds in event.timings.items()}
        self._fields |= {"pictures": event.pictures, "cost": round(self._request.usage.work, 6)}
        self._fields["stages_s"] = {stage: round(seconds, 4) for stage, seconds in stages_s.items()}
        self._metrics.finished(_counts(event, self._request, self._tenant), stages_s)

    def close(self, status: str, problem: BackdropError | None = None) -> None:
        """Counts and writes a request that ended; a refusal for overload is written a little later."""
        self._span.status(status)
        seconds = time.monotonic() - self._begin
        if isinstance(problem, OverloadedError):
            # Counting and writing take longer than refusing, and others may wait for their refusal.
            asyncio.get_running_loop().call_later(LATER_S, self._write, status, seconds, problem)
        else:
            self._write(status, seconds, problem)

    def _write(self, status: str, seconds: float, problem: BackdropError | None) -> None:
        if self._request is not None:
            self._fields["steps_done"] = self._steps_done
            self._fields.setdefault("cost", round(_done(self._request, self._steps_done), 6))
        super()._write(status, seconds, problem)
        self._metrics.request(status, seconds, self._tenant)
        log.info("request", **{name: value for name, value in self._fields.items() if name not in _RECORD_ONLY})


def _outcome(status: str, *, begun: bool) -> str:
    ends = {"OK": "ok", "CANCELLED": "cancelled", "INTERNAL": "failed"}
    return ends.get(status, "failed" if begun else "refused")


def _done(request: Request, steps: int) -> float:
    """The part of a request's work that so many steps are, if all its variants are finished."""
    every = request.parts.selection.variants * request.sequential_steps * len(request.layouts)
    return request.usage.work * min(1.0, steps / every) if every else 0.0


def _counts(event: Finished, request: Request, tenant: str) -> RequestCounts:
    usage = request.usage
    return RequestCounts(
        pipeline=request.pipeline.name,
        tenant=tenant,
        row_steps=usage.row_steps,
        saved_row_steps=usage.saved_row_steps,
        work=usage.work,
        pictures=event.pictures,
        style_pictures=request.style_pictures,
    )


def digests(message: pb.GenerateRequest) -> dict[str, str]:
    """SHA-256 of each picture of the task's message and of each style picture, by its field. Blocks."""
    own = _digests(getattr(message, message.WhichOneof("task") or ""))
    return dict(own) | dict(_digests(message.conditioning, "conditioning."))


def _digests(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if isinstance(value, bytes):
            yield f"{prefix}{field.name}", hashlib.sha256(value).hexdigest()
        elif field.is_repeated and field.message_type is not None:
            for index, each in enumerate(value):
                yield from _digests(each, f"{prefix}{field.name}[{index}].")
