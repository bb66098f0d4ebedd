"""Triton's words and statuses, read into causes."""

from __future__ import annotations

import pytest
from tritonclient.utils import InferenceServerException

from orchestrator.triton.causes import TREATMENTS, Cause, classify


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; connection refused", Cause.GONE),
        ("UNAVAILABLE", "Socket closed", Cause.GONE),
        ("UNAVAILABLE", "Server is stopping, scheduler for model has stopped accepting requests", Cause.STOPPING),
        ("UNAVAILABLE", "GRPC server is shutting down and has stopped accepting new requests", Cause.STOPPING),
        ("UNAVAILABLE", "[request id: x] Exceeds maximum queue size", Cause.QUEUE_FULL),
        ("UNAVAILABLE", "Request timeout expired", Cause.QUEUE_TIMEOUT),
        ("UNAVAILABLE", "Request for unknown model: 'm' has no available versions", Cause.NO_MODEL),
        ("NOT_FOUND", "Request for unknown model: 'm' is not found", Cause.NO_MODEL),
        ("INTERNAL", "Stub process 'm_0_0' is not healthy.", Cause.STUB_DEAD),
        ("INTERNAL", "onnx runtime error 1", Cause.MODEL_ERROR),
        ("INTERNAL", "", Cause.MODEL_ERROR),
        ("UNKNOWN", "", Cause.MODEL_ERROR),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Cause.TIMEOUT),
        ("CANCELLED", "CANCELLED", Cause.GONE),
        ("UNIMPLEMENTED", "", Cause.GONE),
        ("INVALID_ARGUMENT", "unexpected shape for input 'stopping'", Cause.REFUSED),
        ("RESOURCE_EXHAUSTED", "Received message larger than max", Cause.REFUSED),
    ],
)
def test_words_become_causes(status: str, text: str, cause: Cause) -> None:
    assert classify(InferenceServerException(text, f"StatusCode.{status}")) is cause


def test_an_exception_of_the_client_itself_is_the_models_fault() -> None:
    assert classify(InferenceServerException("something odd")) is Cause.MODEL_ERROR


def test_every_cause_has_a_treatment() -> None:
    assert TREATMENTS.keys() == set(Cause)
