"""The record of a request: numbers and digests, how it ended, and never a prompt or a pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.audit import Audit, digests
from orchestrator.cache.lookups import CacheReport
from orchestrator.events import Finished, Stage
from orchestrator.request import Request
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import RequestSpan
from tests.messages import generate_request
from tests.orchestrator.small import request

SECRET = "a beach of secrets"


def record(end: Callable[[Audit], None], metrics: Metrics | None = None) -> dict[str, Any]:
    """The line that an audit writes."""
    with structlog.testing.capture_logs() as lines:
        end(Audit("id", metrics or Metrics(), RequestSpan()))
    (line,) = lines
    return dict(line)


def finished(request_: Request, message: pb.GenerateRequest) -> Callable[[Audit], None]:
    def run(audit: Audit) -> None:
        audit.parsed(request_)
        audit.pictures(digests(message))
        audit.started()
        audit.finished(Finished(2, {Stage.DENOISE: 1.25}, CacheReport(0, 0, 0)))
        audit.close("OK")

    return run


def test_a_finished_request_is_told_in_numbers() -> None:
    message = generate_request(product=b"photo", mask=b"mask", prompt=SECRET, negative_prompt=SECRET)
    line = record(finished(request(steps=10, prompt=SECRET), message))
    expected = {
        "request_id": "id", "task": "background", "pipeline": "small", "variants": 2, "steps": 10, "row_steps": 40,
        "seed": 7, "scheduler": "dpmpp_2m", "style_images": 0, "adapters": [], "priority": "standard", "size": "64x64",
        "status": "OK", "stages_s": {"denoise": 1.25},
    }  # fmt: skip
    assert {name: line[name] for name in expected} == expected
    assert line["queued_s"] >= 0
    assert line["seconds"] >= line["queued_s"]


def test_pictures_are_told_by_their_digests_and_words_not_at_all() -> None:
    message = generate_request(product=b"photo", mask=b"mask", prompt=SECRET, negative_prompt=SECRET)
    line = record(finished(request(prompt=SECRET), message))
    digests = {"product": hashlib.sha256(b"photo").hexdigest(), "mask": hashlib.sha256(b"mask").hexdigest()}
    assert line["input_sha256"] == digests
    assert SECRET not in repr(line)
    words = record(finished(request(TEXT_TO_IMAGE, prompt=SECRET), generate_request("text_to_image", prompt=SECRET)))
    assert (words["task"], words["input_sha256"]) == ("text_to_image", {})
    assert SECRET not in repr(words)


def test_metrics_are_counted_by_pipeline_and_status() -> None:
    metrics = Metrics()
    record(finished(request(steps=10), generate_request()), metrics)
    value = metrics.registry.get_sample_value
    assert value("backdrop_requests_total", {"status": "OK"}) == 1
    assert value("backdrop_row_steps_total", {"pipeline": "small"}) == 40
    assert value("backdrop_row_step_megapixels_total", {"pipeline": "small"}) == pytest.approx(40 * 64 * 64 / 1e6)
    assert value("backdrop_pictures_total", {"pipeline": "small"}) == 2
    assert value("backdrop_stage_seconds_count", {"stage": "denoise"}) == 1
    assert value("backdrop_queue_seconds_count") == 1


def test_a_refused_request_is_told_with_its_reason_and_field() -> None:
    problem = error(Reason.OUT_OF_RANGE, "sampling.steps is 0.", field="sampling.steps")
    line = record(lambda audit: audit.close("INVALID_ARGUMENT", problem))
    assert (line["status"], line["reason"], line["field"]) == ("INVALID_ARGUMENT", "OUT_OF_RANGE", "sampling.steps")
    assert "task" not in line


def test_a_replay_is_said_to_be_one() -> None:
    def end(audit: Audit) -> None:
        audit.outcome("replayed")
        audit.close("OK")

    assert record(end)["outcome"] == "replayed"
