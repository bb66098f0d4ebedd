"""An OpenTelemetry collector of a few lines: takes OTLP over HTTP, as protobuf or JSON, and keeps the spans."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class SpanSeen:
    """What tests ask of a span; ids are lower-case hexadecimal."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    failed: bool
    links: tuple[str, ...]
    """The spans it refers to."""


@dataclasses.dataclass(frozen=True)
class LogSeen:
    """What tests ask of a log record; `name` is its event's."""

    service: str
    name: str
    attributes: dict[str, Any]


class Collector:
    """Listens on a free loopback port for as long as the `with` block runs."""

    def __init__(self) -> None:
        self.spans: list[SpanSeen] = []
        self.logs: list[LogSeen] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.endswith("/v1/logs"):
                    collector.logs += read_logs(body)
                else:
                    collector.spans += read(body, self.headers.get("content-type", ""))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, trace_id: str) -> list[SpanSeen]:
        """The spans of a trace so far."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def wait(self, condition: Callable[[], bool], within_s: float = 20.0) -> None:
        """Waits until the condition holds: exporters send in batches, some seconds apart."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, [(span.service, span.name) for span in self.spans]
            time.sleep(0.05)


def read(body: bytes, content_type: str) -> list[SpanSeen]:
    """The spans in an export."""
    hexadecimal = "json" in content_type
    # protobuf's JSON writes bytes in base64, OTLP's in hexadecimal: the ids are the only difference that matters here.
    document = json.loads(body) if hexadecimal else MessageToDict(ExportTraceServiceRequest.FromString(body))
    spans = []
    for resource in document.get("resourceSpans", []):
        service = attributes(resource.get("resource", {}))["service.name"]
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                ids = [span.get(key, "") for key in ("traceId", "spanId", "parentSpanId")]
                links = [link["spanId"] for link in span.get("links", [])]
                spans.append(
                    SpanSeen(
                        service, span["name"], *(ids if hexadecimal else map(from_base64, ids)),
                        attributes(span), tuple(event["name"] for event in span.get("events", [])),
                        span.get("status", {}).get("code") in (2, "STATUS_CODE_ERROR"),
                        tuple(links if hexadecimal else map(from_base64, links)),
                    )
                )  # fmt: skip
    return spans


def read_logs(body: bytes) -> list[LogSeen]:
    """The log records in an export as protobuf."""
    document = MessageToDict(ExportLogsServiceRequest.FromString(gzip.decompress(body) if body[:2] == GZIP else body))
    return [
        LogSeen(attributes(resource["resource"])["service.name"], record.get("eventName", ""), attributes(record))
        for resource in document.get("resourceLogs", [])
        for scope in resource.get("scopeLogs", [])
        for record in scope.get("logRecords", [])
    ]


def attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: next(iter(entry["value"].values())) for entry in holder.get("attributes", [])}


def from_base64(text: str) -> str:
    return base64.b64decode(text).hex()
