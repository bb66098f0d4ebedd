"""Spans by where they are opened: each is a child of the one that is open there, and nothing where none is.

What is open is kept in a context variable, which every task inherits from the one that started it. So the stages and
the Triton pool say `with span("…")` without being handed a tracer, and cost next to nothing while nobody traces.
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
    """The span that is open, and what opens its children."""

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
        """A span below this one; `call` says that another process does the work, `link` that it is told elsewhere."""
        from opentelemetry.trace import Link, SpanKind, set_span_in_context

        kind: SpanKind = SpanKind.CLIENT if call else SpanKind.INTERNAL
        context, links = set_span_in_context(self.span), [Link(link)] if link is not None else None
        return self.tracer.start_span(name, context, kind, attributes, links, start_time=start_ns)


_open: ContextVar[Scope | None] = ContextVar("open span", default=None)


def enter(scope: Scope) -> None:
    """Makes the scope the open one, for the rest of this task and for those that it starts."""
    _open.set(scope)


@contextlib.contextmanager
def span(name: str, *, call: bool = False, **attributes: Value) -> Iterator[None]:
    """A span for as long as the block runs; an exception marks it as failed, a cancellation as ended early."""
    scope = _open.get()
    if scope is None:
        yield
        return
    made = scope.child(name, attributes, call=call)
    token = _open.set(Scope(scope.tracer, made))
    try:
        yield
    except BaseException as problem:
        fail(made, type(problem).__name__)
        raise
    finally:
        made.end()
        _open.reset(token)


def past_span(name: str, seconds: float, *, link: SpanContext | None = None, **attributes: Value) -> None:
    """A span that ends now and began so many seconds ago: for waits that are known once they are over.

    `link` is the span, of another trace perhaps, below which the work is told that this one waited for.
    """
    scope = _open.get()
    if scope is not None:
        start_ns = time.time_ns() - int(seconds * 1e9)
        scope.child(name, attributes, call=False, start_ns=start_ns, link=link).end()


def open_span() -> SpanContext | None:
    """The span that is open here, for others to link to; None where nobody traces."""
    scope = _open.get()
    return None if scope is None else scope.span.get_span_context()


def fail(span_: Span, why: str) -> None:
    """Marks a span as failed, by a word of ours: the text of a foreign exception goes to no one."""
    from opentelemetry.trace import Status, StatusCode

    span_.set_status(Status(StatusCode.ERROR, why))


def headers() -> dict[str, str]:
    """The open span as gRPC metadata for Triton (W3C Trace Context); nothing where it is not recorded.

    The standard would have it sent with its flag at 0, but Triton records every call that comes with a parent, whatever
    the flag says.
    """
    context = open_span()
    if context is None or not context.trace_flags.sampled:
        return {}
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    state = context.trace_state.to_header()
    return {"traceparent": parent, **({"tracestate": state} if state else {})}


def exemplar() -> dict[str, str] | None:
    """The open trace as a Prometheus exemplar; None where it is not recorded, for then nobody could look it up."""
    context = open_span()
    return {"trace_id": f"{context.trace_id:032x}"} if context is not None and context.trace_flags.sampled else None
