"""The caller's trace as call metadata (W3C Trace Context), for callers that use OpenTelemetry."""

from __future__ import annotations

import sys


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Returns `traceparent` of the current span, and `tracestate` if it has one; nothing without OpenTelemetry."""
    # Only a module that the caller has imported is used: this package does not depend on OpenTelemetry.
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ()
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    state = context.trace_state.to_header()
    return (("traceparent", parent), *((("tracestate", state),) if state else ()))
