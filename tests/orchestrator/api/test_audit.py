"""The record of a request: numbers and digests, how it ended, and never a prompt or a pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from backdrop.errors import Reason, error
from backdrop.v1 import generation_service_pb2 as pb
from orchestrator.api.audit import GET_INFO, Audit, CallRecord, digests
from orchestrator.cache.lookups import CacheReport
from orchestrator.events import Finished, Stage
from orchestrator.identity.caller import Caller
from orchestrator.request import Request
from orchestrator.tasks.text_to_image import TEXT_TO_IMAGE
from orchestrator.telemetry.audit_log import AuditLog, Sink
from orchestrator.telemetry.audit_record import AuditRecord, Fields
from orchestrator.telemetry.metrics import Metrics
from orchestrator.telemetry.tracing import RequestSpan
from tests.messages import generate_request
from tests.orchestrator.small import request

SECRET = "a beach of secrets"
CALLER = Caller("aurelia", "token:https://issuer/aurelia-shop")


class Kept(Sink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Fields] = []

    def write(self, record: Fields) -> None:
        self.records.append(record)


def record_of(end: Callable[[Audit], None], metrics: Metrics | None = None) -> tuple[AuditRecord, dict[str, Any]]:
    """The record that an audit writes, held to the schema, and its log line."""
    sink = Kept()
    records = AuditLog(sink)
    with structlog.testing.capture_logs() as lines:
        audit = Audit("id", metrics or Metrics(), RequestSpan(), records)
        audit.called(CALLER)
        end(audit)
    records.close()
    (line,), (record,) = lines, sink.records
    return AuditRecord.model_validate(record, strict=True), dict(line)


def record(end: Callable[[Audit], None], metrics: Metrics | None = None) -> dict[str, Any]:
    """The line that an audit writes."""
    return record_of(end, metrics)[1]


def finished(request_: Request, message: pb.GenerateRequest) -> Callable[[Audit], None]:
    def run(audit: Audit) -> None:
        audit.parsed(request_)
        audit.pictures(digests(message))
        audit.started()
        for _ in range(20):
            audit.stepped()
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
        audit.replayed()
        audit.close("OK")

    assert record(end)["outcome"] == "replayed"


def test_a_record_holds_who_what_and_at_which_cost() -> None:
    message = generate_request(product=b"photo", mask=b"mask", prompt=SECRET)
    written, _ = record_of(finished(request(steps=10, prompt=SECRET), message))
    assert (written.identity, written.tenant) == ("token:https://issuer/aurelia-shop", "aurelia")
    assert (written.method, written.status, written.outcome) == ("GenerationService/Generate", "OK", "ok")
    assert written.fingerprints["denoiser"] == "sha256:denoiser"
    assert (written.row_steps, written.steps_done, written.pictures) == (40, 20, 2)
    assert written.work == written.cost == pytest.approx(40 * 64 * 64 / 1e6)
    assert written.time.endswith("+00:00")
    assert SECRET not in written.model_dump_json()


def test_style_pictures_have_digests_too() -> None:
    style = pb.StyleImage(image=b"style", weight=1.0)
    message = generate_request("text_to_image", prompt=SECRET, style_images=[style])
    assert digests(message) == {"conditioning.style_images[0].image": hashlib.sha256(b"style").hexdigest()}


def test_a_request_that_fails_half_way_costs_the_steps_that_were_taken() -> None:
    def end(audit: Audit) -> None:
        audit.parsed(request(steps=10))  # two variants
        audit.started()
        for _ in range(5):
            audit.stepped()
        audit.close("UNAVAILABLE", error(Reason.NO_REPLICA, "No replica."))

    written, _ = record_of(end)
    assert (written.outcome, written.reason, written.steps_done) == ("failed", "NO_REPLICA", 5)
    assert written.cost == pytest.approx(written.work / 4)


@pytest.mark.parametrize(
    ("status", "begun", "outcome"),
    [
        ("RESOURCE_EXHAUSTED", False, "refused"), ("DEADLINE_EXCEEDED", True, "failed"),
        ("CANCELLED", True, "cancelled"),
        ("INTERNAL", False, "failed"), ("UNAUTHENTICATED", False, "refused"), ("OK", True, "ok"),
    ],
)  # fmt: skip
def test_outcomes_say_whether_something_was_begun(status: str, begun: bool, outcome: str) -> None:
    def end(audit: Audit) -> None:
        audit.parsed(request())
        if begun:
            audit.started()
        audit.close(status)

    written, _ = record_of(end)
    assert written.outcome == outcome
    assert written.cost == 0


def test_calls_of_the_info_service_have_records() -> None:
    sink = Kept()
    records = AuditLog(sink)
    call = CallRecord(GET_INFO, "id", records)
    call.called(CALLER)
    call.close("UNAVAILABLE", error(Reason.NO_REPLICA, "The server is starting."))
    records.close()
    written = AuditRecord.model_validate(sink.records[0], strict=True)
    assert (written.method, written.tenant, written.outcome) == ("InfoService/GetInfo", "aurelia", "refused")
