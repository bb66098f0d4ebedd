"""Spans: each is a child of the span that is open where it begins; without an open span, nothing is recorded.

The open span is kept in a context variable, which a task inherits from the task that starts it. So stages and the
Triton pool write `with span("…")` without a tracer as argument. Without tracing, that costs next to nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, SpanKind, Tracer

Value = str | int | float | bool


@dataclasses.dataclass(frozen=True)
class Scope:
    """An open span, and the tracer that opens its children."""

    tracer: Tracer
    span: Span

    def child(
        self,
        name: str,
        attributes: Mapping[str, Value],
        *,
        call: bool,
        start_ns: int | None = None,
        link: SpanContext | None = None,
    ) -> Span:
        """A child of this span; `call`: another process does the work; `link`: the span that shows the work itself."""
        from opentelemetry.trace import Link, SpanKind, set_span_in_context

        kind: SpanKind = SpanKind.CLIENT if call else SpanKind.INTERNAL
        context, links = set_span_in_context(self.span), [Link(link)] if link is not None else None
        return self.tracer.start_span(name, context, kind, attributes, links, start_time=start_ns)


_open: ContextVar[Scope | None] = ContextVar("open span", default=None)


def enter(scope: Scope) -> None:
    """Makes the scope the open one for the rest of this task and for the tasks that it starts."""
    _open.set(scope)


@contextlib.contextmanager
def span(name: str, *, call: bool = False, **attributes: Value) -> Iterator[None]:
    """A span of the block's duration; an exception or a cancellation marks it as failed, by the exception's name."""
    scope = _open.get()
    if scope is None:
        yield
        return
    child = scope.child(name, attributes, call=call)
    token = _open.set(Scope(scope.tracer, child))
    try:
        yield
    except BaseException as problem:
        fail(child, type(problem).__name__)
        raise
    finally:
        child.end()
        _open.reset(token)


def past_span(name: str, seconds: float, *, link: SpanContext | None = None, **attributes: Value) -> None:
    """A span that ends now and began so many seconds ago: for waits whose length is known at their end.

    `link` is the span that shows the work that was waited for; it may belong to another trace.
    """
    scope = _open.get()
    if scope is not None:
        start_ns = time.time_ns() - int(seconds * 1e9)
        scope.child(name, attributes, call=False, start_ns=start_ns, link=link).end()


def open_span() -> SpanContext | None:
    """The open span, for other spans to link to; None without tracing."""
    scope = _open.get()
    return None if scope is None else scope.span.get_span_context()


def fail(span_: Span, why: str) -> None:
    """Marks a span as failed. `why` is a word of ours: texts of exceptions may hold data of callers."""
    from opentelemetry.trace import Status, StatusCode

    span_.set_status(Status(StatusCode.ERROR, why))


def headers() -> dict[str, str]:
    """The open span as gRPC metadata for Triton (W3C Trace Context); empty if it is not recorded.

    By the standard, a span that is not recorded is sent with flag 0, but Triton records every call that has a parent.
    """
    context = open_span()
    if context is None or not context.trace_flags.sampled:
        return {}
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    state = context.trace_state.to_header()
    return {"traceparent": parent, **({"tracestate": state} if state else {})}


def exemplar() -> dict[str, str] | None:
    """The open trace as a Prometheus exemplar; None if it is not recorded, since it cannot be looked up then."""
    context = open_span()
    return {"trace_id": f"{context.trace_id:032x}"} if context is not None and context.trace_flags.sampled else None
