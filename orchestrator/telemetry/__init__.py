"""Traces: a span for each request, stage, step and model call. The caller's trace continues here and in Triton."""

from orchestrator.telemetry.spans import exemplar, headers, open_span, past_span, span
from orchestrator.telemetry.tracing import NO_TRACING, Tracing

__all__ = ["NO_TRACING", "Tracing", "exemplar", "headers", "open_span", "past_span", "span"]
