"""The caller's trace: it goes with the call where there is one, and costs nothing where OpenTelemetry is not used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

import backdrop
from backdrop._tracing import trace_metadata
from backdrop.errors import UnimplementedError
from tests.backdrop.test_package import ROOT

tracer = TracerProvider().get_tracer("tests")


def header(span: object) -> str:
    context = span.get_span_context()  # type: ignore[attr-defined]
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


class Listener(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Keeps the metadata of every call, and answers none."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        self.calls.append(dict(handler_call_details.invocation_metadata))


@pytest.fixture
def listener() -> Iterator[tuple[Listener, str]]:
    from concurrent.futures import ThreadPoolExecutor

    listener = Listener()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[listener])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield listener, f"127.0.0.1:{port}"
    server.stop(0)


async def test_the_trace_is_the_callers(listener: tuple[Listener, str]) -> None:
    heard, endpoint = listener
    async with backdrop.AsyncClient(endpoint, retries=0) as client:
        with tracer.start_as_current_span("asks") as span:
            generation = client.generate(backdrop.Background(b"photo"))
        with tracer.start_as_current_span("waits"), pytest.raises(UnimplementedError):
            await generation
        with pytest.raises(UnimplementedError):
            await client.generate(backdrop.Background(b"photo"))
    assert [call.get("traceparent") for call in heard.calls] == [header(span), None]


def test_the_plain_client_sends_it_from_the_callers_thread(listener: tuple[Listener, str]) -> None:
    heard, endpoint = listener
    asks = tracer.start_as_current_span("asks")
    with backdrop.Client(endpoint, retries=0) as client, asks as span, pytest.raises(UnimplementedError):
        client.generate(backdrop.Background(b"photo")).result()
    assert heard.calls[0]["traceparent"] == header(span)


def test_an_invalid_span_is_no_trace() -> None:
    from opentelemetry.trace import INVALID_SPAN

    with use_span(INVALID_SPAN):
        assert trace_metadata() == ()


def test_without_opentelemetry_nothing_is_sent_or_imported() -> None:
    code = (
        "import sys, backdrop; from backdrop._tracing import trace_metadata; assert trace_metadata() == ();"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
