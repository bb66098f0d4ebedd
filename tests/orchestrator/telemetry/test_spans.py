"""Spans: children of the open span in every task, and nothing without tracing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

from orchestrator.telemetry import Tracing, exemplar, headers, past_span, span

PARENT = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")


class Traced:
    """Tracing whose spans can be looked at."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Tracing(provider)

    def tree(self) -> dict[str, str | None]:
        """Parent's name by span's name."""
        spans = self.exporter.get_finished_spans()
        names = {each.context.span_id: each.name for each in spans}
        return {each.name: names.get(each.parent.span_id) if each.parent else None for each in spans}

    def named(self, name: str) -> Any:
        (match,) = [each for each in self.exporter.get_finished_spans() if each.name == name]
        return match


async def test_a_request_goes_on_with_the_callers_trace() -> None:
    traced = Traced()
    with traced.tracing.request("backdrop.v1.GenerationService/Generate", [PARENT, ("x-bin", b"\xff")]) as request:
        assert request.trace_id == "ab" * 16
        request.describe(pipeline="small", steps=4)
        request.status("OK")
    root = traced.named("backdrop.v1.GenerationService/Generate")
    assert root.parent.span_id == int("cd" * 8, 16)
    assert dict(root.attributes) == {
        "rpc.system": "grpc", "rpc.service": "backdrop.v1.GenerationService", "rpc.method": "Generate",
        "backdrop.pipeline": "small", "backdrop.steps": 4, "rpc.response.status_code": "OK",
    }  # fmt: skip


@pytest.mark.parametrize("metadata", [[], [("traceparent", "nonsense")], [("traceparent", f"00-{'0' * 32}-x-01")]])
async def test_without_a_readable_parent_a_trace_begins_here(metadata: list[tuple[str, str]]) -> None:
    traced = Traced()
    with traced.tracing.request("a/b", metadata) as request:
        assert int(request.trace_id, 16) > 0
    assert traced.named("a/b").parent is None


async def test_tasks_inherit_what_is_open_and_do_not_disturb_each_other() -> None:
    traced = Traced()

    async def variant(name: str) -> None:
        with span(name):
            await asyncio.sleep(0)
            with span(f"{name}'s step"):
                await asyncio.sleep(0)

    with traced.tracing.request("a/b", []), span("denoise"):
        await asyncio.gather(variant("one"), variant("two"))
    assert traced.tree() == {
        "a/b": None, "denoise": "a/b", "one": "denoise", "two": "denoise", "one's step": "one", "two's step": "two",
    }  # fmt: skip


async def test_calls_served_one_after_another_do_not_nest() -> None:
    traced = Traced()

    async def serve(name: str) -> None:
        with traced.tracing.request(name, []):
            await asyncio.sleep(0)

    for name in ("s/first", "s/second"):
        await asyncio.create_task(serve(name))
    assert traced.tree() == {"s/first": None, "s/second": None}


async def test_failures_are_marked_by_our_word_alone() -> None:
    traced = Traced()
    with traced.tracing.request("a/b", []) as request:
        with pytest.raises(ValueError, match="secret"), span("step"):
            raise ValueError("a secret of the caller")
        request.status("INTERNAL")
    step, root = traced.named("step"), traced.named("a/b")
    assert (step.status.is_ok, step.status.description, step.events) == (False, "ValueError", ())
    assert (root.status.is_ok, root.status.description) == (False, "INTERNAL")


async def test_a_wait_is_told_once_it_is_over() -> None:
    traced = Traced()
    with traced.tracing.request("a/b", []):
        past_span("admission", 0.25)
    admission = traced.named("admission")
    assert (admission.end_time - admission.start_time) / 1e9 == pytest.approx(0.25, abs=0.05)


async def test_headers_name_the_open_span_and_keep_the_callers_state() -> None:
    traced = Traced()
    with traced.tracing.request("a/b", [PARENT, ("tracestate", "vendor=1")]), span("denoiser", call=True):
        sent = headers()
    called = traced.named("denoiser").context.span_id
    assert sent == {"traceparent": f"00-{'ab' * 16}-{called:016x}-01", "tracestate": "vendor=1"}


async def test_exemplars_and_headers_name_recorded_traces_alone() -> None:
    with Traced().tracing.request("a/b", [PARENT]):
        assert exemplar() == {"trace_id": "ab" * 16}
    with Traced(ALWAYS_OFF).tracing.request("a/b", [PARENT]):
        assert exemplar() is None
        assert headers() == {}, "Triton would record it"


async def test_without_tracing_nothing_is_opened() -> None:
    async def serve() -> None:
        with Tracing().request("a/b", [PARENT]) as request, span("step"):
            past_span("admission", 1.0)
            assert (request.trace_id, headers(), exemplar()) == ("", {}, None)

    await asyncio.create_task(serve())
