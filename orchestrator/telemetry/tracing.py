"""The span of each request, below the caller's W3C trace context, and the export of spans over OTLP/HTTP."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from orchestrator.telemetry import spans

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

_EXPORT_TIMEOUT_S = 5.0


class RequestSpan:
    """The span of one request. Without tracing, its methods do nothing."""

    def __init__(self, scope: spans.Scope | None = None) -> None:
        self._scope = scope

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits, or "" without tracing."""
        return "" if self._scope is None else f"{self._scope.span.get_span_context().trace_id:032x}"

    def describe(self, **attributes: spans.Value) -> None:
        """Adds attributes of the request. Never prompts or pixels."""
        if self._scope is not None:
            self._scope.span.set_attributes({f"backdrop.{name}": value for name, value in attributes.items()})

    def status(self, status: str) -> None:
        """Sets the gRPC status with which the call ended."""
        if self._scope is not None:
            self._scope.span.set_attribute("rpc.response.status_code", status)
            if status != "OK":
                spans.fail(self._scope.span, status)


class Tracing:
    """Opens a span for each request; without a provider, none."""

    def __init__(self, provider: TracerProvider | None = None, give_up: Callable[[], None] | None = None) -> None:
        """`give_up` ends the provider's exports, the one that runs and all later ones."""
        self._provider = provider
        self._give_up = give_up

    @classmethod
    def to(cls, endpoint: str, sample_ratio: float) -> Tracing:
        """Sends spans to an OTLP/HTTP collector at http://host:4318; an empty endpoint means no tracing.

        A trace of a caller is sampled as the caller says; of the traces that begin here, `sample_ratio` are recorded.
        Spans that no collector takes are dropped: a request never waits for one.
        """
        if not endpoint:
            return cls()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(sample_ratio)), resource=resource())
        exporter = OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=_EXPORT_TIMEOUT_S)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider, exporter.shutdown)

    @contextlib.contextmanager
    def request(self, method: str, caller_metadata: Iterable[tuple[str, Any]]) -> Iterator[RequestSpan]:
        """The span of a whole call, below the caller's span if its metadata names one.

        The span stays open for the rest of the task, so the task must serve one call alone.
        """
        if self._provider is None:
            yield RequestSpan()
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {key: value for key, value in caller_metadata if isinstance(value, str)}
        parent = TraceContextTextMapPropagator().extract(carrier)
        tracer = self._provider.get_tracer("backdrop.orchestrator")
        service, _, name = method.rpartition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
        scope = spans.Scope(tracer, tracer.start_span(method, parent, SpanKind.SERVER, attributes))
        spans.enter(scope)
        try:
            yield RequestSpan(scope)
        finally:
            scope.span.end()

    def close(self) -> None:
        """Sends the remaining spans and stops; after 5 s it drops those that no collector has taken."""
        if self._provider is None:
            return
        # The SDK would try each batch of the queue for the whole timeout of an export, 30 s in all.
        limit = threading.Timer(_EXPORT_TIMEOUT_S, self._give_up or (lambda: None))
        limit.start()
        try:
            self._provider.shutdown()
        finally:
            limit.cancel()


NO_TRACING = Tracing()


def resource() -> Resource:
    """Who sends spans and logs: this program and its version."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

    return Resource({SERVICE_NAME: "backdrop-orchestrator", SERVICE_VERSION: _version()})


def _version() -> str:
    try:
        return metadata.version("backdrop")
    except metadata.PackageNotFoundError:  # in an image that has the folders without the package
        return "0+unknown"
