"""Where spans go: to an OTLP collector, sampled by the settings, and never at a request's cost."""

from __future__ import annotations

import time

import pytest

from orchestrator.telemetry import Tracing, span
from tests.collector import Collector


def serve(tracing: Tracing, *metadata: tuple[str, str]) -> None:
    with tracing.request("service/method", metadata), span("step", step=3, guided=True):
        pass


def test_spans_arrive_at_the_collector() -> None:
    with Collector() as collector:
        tracing = Tracing.to(collector.endpoint + "/", 1.0)
        serve(tracing)
        tracing.close()
    step, root = sorted(collector.spans, key=lambda each: each.parent_id, reverse=True)
    assert (root.name, root.service, root.parent_id) == ("service/method", "backdrop-orchestrator", "")
    assert (step.name, step.parent_id, step.trace_id) == ("step", root.span_id, root.trace_id)
    assert step.attributes == {"step": "3", "guided": True}


@pytest.mark.parametrize(("ratio", "flags", "recorded"), [(0.0, "01", 2), (1.0, "00", 0)])
def test_the_callers_word_on_sampling_is_followed(ratio: float, flags: str, recorded: int) -> None:
    with Collector() as collector:
        tracing = Tracing.to(collector.endpoint, ratio)
        serve(tracing, ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-{flags}"))
        tracing.close()
    assert len(collector.spans) == recorded


def test_none_of_the_traces_that_begin_here_is_recorded_at_ratio_0() -> None:
    with Collector() as collector:
        tracing = Tracing.to(collector.endpoint, 0.0)
        for _ in range(20):
            serve(tracing)
        tracing.close()
    assert collector.spans == []


def test_a_collector_that_is_not_there_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.telemetry.tracing._EXPORT_TIMEOUT_S", 3.0)
    tracing = Tracing.to("http://127.0.0.1:9", 1.0)
    began = time.monotonic()
    for _ in range(3000):  # more than the exporter's queue holds
        serve(tracing)
    tracing.close()
    assert time.monotonic() - began < 10.0, "one export, not one for each of the queue's four batches"


def test_an_empty_endpoint_means_no_tracing() -> None:
    tracing = Tracing.to("", 1.0)
    serve(tracing)
    tracing.close()
