"""One trace from the caller's span through the orchestrator's into Triton's, and metrics that lead to it."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from backdrop import Background, Client
from local.cluster import Cluster, Options
from tests.collector import Collector, SpanSeen
from tests.conftest import ROOT
from tests.pictures import ellipse_mask, encoded, noisy_photo

# A cluster of its own, because the one of the session sends no traces.
pytestmark = pytest.mark.cluster
STEPS, VARIANTS = 3, 2
TRITON = "triton-inference-server"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that sends its spans to the collector."""
    logs = tmp_path_factory.mktemp("traced-logs")
    options = Options(repository=ROOT / "triton_repo", log_folder=logs, port=0, otlp_endpoint=collector.endpoint)
    with Cluster(options) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def trace(traced: Cluster, collector: Collector) -> list[SpanSeen]:
    """The spans of one generation, the caller's own apart."""
    task = Background(encoded(noisy_photo(96, 64)), encoded(ellipse_mask(96, 64)))
    tracer = TracerProvider().get_tracer("tests")
    with Client(traced.endpoints.orchestrator) as client, tracer.start_as_current_span("caller") as span:
        client.generate(task, prompt="a beach", steps=STEPS, variants=VARIANTS, seed=1).result()
        trace_id = f"{span.get_span_context().trace_id:032x}"
        caller_id = f"{span.get_span_context().span_id:016x}"
    calls_expected = STEPS * VARIANTS

    def complete() -> bool:
        spans = collector.trace(trace_id)
        calls = {each.span_id for each in spans if each.name == "denoiser" and each.service != TRITON}
        # Triton sends its spans in its own time, and loses those of a call now and then: one call's must all be there.
        requests = {each.parent_id: each.span_id for each in spans if each.name == "InferRequest"}
        models = {each.parent_id: each.span_id for each in spans if each.name == "denoiser" and each.service == TRITON}
        computed = {each.parent_id for each in spans if each.name == "compute"}
        led = {each.span_id for each in spans if each.span_id in calls and not each.links}
        followed = any(models.get(requests.get(call, "")) in computed for call in led)
        return any(each.parent_id == caller_id for each in spans) and len(calls) == calls_expected and followed

    collector.wait(complete)
    return collector.trace(trace_id)


def children(trace: list[SpanSeen], parent: SpanSeen, name: str) -> list[SpanSeen]:
    return [span for span in trace if span.parent_id == parent.span_id and span.name == name]


def test_a_generation_is_one_tree_of_stages_steps_and_calls(trace: list[SpanSeen]) -> None:
    (root,) = [span for span in trace if span.name == "backdrop.v1.GenerationService/Generate"]
    assert root.attributes["backdrop.steps"] == str(STEPS)
    assert root.attributes["rpc.response.status_code"] == "OK"
    for name in ("admission", "encode", "prepare", "select"):
        assert len(children(trace, root, name)) == 1
    denoise = children(trace, root, "denoise")
    assert len(denoise) == VARIANTS
    for variant in denoise:
        steps = children(trace, variant, "step")
        assert sorted(step.attributes["step"] for step in steps) == [str(number) for number in range(STEPS)]
        assert all(len(children(trace, step, "turn")) == 1 for step in steps)
        calls = [children(trace, step, "denoiser") for step in steps]
        assert all(len(call) == 1 for call in calls)
    assert not [span for span in trace if span.failed]


def test_who_shares_a_batch_refers_to_the_step_that_led_it(trace: list[SpanSeen]) -> None:
    steps = {span.span_id: span for span in trace if span.name == "step"}
    calls = [call for step in steps.values() for call in children(trace, step, "denoiser")]
    led = {call.parent_id: int(call.attributes["rows"]) for call in calls if not call.links}
    shared = [call for call in calls if call.links]
    assert sum(led.values()) == 2 * STEPS * VARIANTS
    for call in shared:
        assert call.attributes["rows"] == "2"
        (link,) = call.links
        assert led[link] > 2


def test_triton_goes_on_with_it_and_tells_queue_and_compute_apart(trace: list[SpanSeen]) -> None:
    (root,) = [span for span in trace if span.name == "backdrop.v1.GenerationService/Generate"]
    steps = [step for denoise in children(trace, root, "denoise") for step in children(trace, denoise, "step")]
    calls = [call for step in steps for call in children(trace, step, "denoiser")]
    call = next(
        call
        for call in calls
        for request in children(trace, call, "InferRequest")
        for model in children(trace, request, "denoiser")
        if children(trace, model, "compute")
    )
    assert not call.links
    (request,) = children(trace, call, "InferRequest")
    assert request.service == "triton-inference-server"
    (model,) = children(trace, request, "denoiser")
    assert "QUEUE_START" in model.events
    (compute,) = children(trace, model, "compute")
    assert compute.events[0] == "COMPUTE_START"


def test_durations_carry_the_trace_as_exemplar(traced: Cluster, trace: list[SpanSeen]) -> None:
    request = urllib.request.Request(
        f"http://{traced.endpoints.orchestrator_metrics}/metrics",
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    with urllib.request.urlopen(request) as answer:
        text = answer.read().decode()
    for series in ("backdrop_request_seconds", "backdrop_queue_seconds", "backdrop_model_call_seconds"):
        exemplars = re.findall(rf'^{series}_bucket.*# {{trace_id="(\w+)"}}', text, re.M)
        assert trace[0].trace_id in exemplars


def test_logs_name_the_trace(traced: Cluster, trace: list[SpanSeen]) -> None:
    log = Path(traced.children["orchestrator"].service.log).read_text()
    assert f'"trace_id": "{trace[0].trace_id}"' in log
    assert '"event": "shared memory"' in log, "orchestrator and Triton share a host here"
