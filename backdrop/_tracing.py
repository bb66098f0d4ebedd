"""The caller's trace as call metadata (W3C Trace Context): for callers that use OpenTelemetry, nothing for others."""

from __future__ import annotations

import sys


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Returns `traceparent`, and `tracestate` where there is one, of the span that is current here.

    Looked up among what the caller has imported: this package does not depend on OpenTelemetry, and must not load it.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ()
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ()
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    state = context.trace_state.to_header()
    return (("traceparent", parent), *((("tracestate", state),) if state else ()))
