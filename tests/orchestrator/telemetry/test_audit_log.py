"""Audit records reach a file, stdout and a collector; what cannot be written is counted and holds nobody up."""

from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path

import pytest

from orchestrator.telemetry.audit_log import AuditLog, CannotAuditError, Sink
from orchestrator.telemetry.audit_record import Fields
from tests.collector import Collector

RECORD: Fields = {
    "request_id": "1",
    "status": "OK",
    "seconds": 0.5,
    "adapters": ["a"],
    "fingerprints": {"m": "sha256:1"},
}


def lines(file: Path) -> list[Fields]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_file_gets_one_object_a_line_and_keeps_what_it_had(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for _ in range(2):
        records = AuditLog.to(str(file), "")
        records.write(RECORD)
        records.close()
    assert lines(file) == [RECORD, RECORD]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    file, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    records = AuditLog.to(str(file), "")
    records.write(RECORD)
    deadline = time.monotonic() + 5
    while not file.read_text() and time.monotonic() < deadline:
        time.sleep(0.005)
    file.rename(moved)
    records.write({**RECORD, "request_id": "2"})
    records.close()
    assert (lines(moved)[0]["request_id"], lines(file)[0]["request_id"]) == ("1", "2")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_stdout_gets_records_too(capsys: pytest.CaptureFixture[str]) -> None:
    records = AuditLog.to("stdout", "")
    records.write(RECORD)
    records.close()
    assert json.loads(capsys.readouterr().out) == RECORD


def test_a_collector_gets_them_as_opentelemetry_logs() -> None:
    with Collector() as collector:
        records = AuditLog.to("", collector.endpoint)
        records.write(RECORD)
        records.close()
    (log,) = collector.logs
    assert (log.service, log.name) == ("backdrop-orchestrator", "backdrop.audit")
    assert log.attributes["backdrop.status"] == "OK"
    assert json.loads(log.attributes["backdrop.fingerprints"]) == {"m": "sha256:1"}


def test_a_full_disk_is_counted_and_raises_nowhere() -> None:
    records = AuditLog.to("/dev/full", "")
    for _ in range(3):
        records.write(RECORD)
    records.close()
    assert records.lost == 3


def test_a_sink_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.telemetry.audit_log._MOST_WAITING", 10)
    monkeypatch.setattr("orchestrator.telemetry.audit_log._CLOSE_S", 0.05)
    gate = threading.Event()

    class Hanging(Sink):
        def write(self, record: Fields) -> None:
            gate.wait()

    records = AuditLog(Hanging())
    for _ in range(50):
        records.write(RECORD)
    records.close()
    assert records.lost >= 39  # ten wait, and one is being written
    gate.set()


def test_a_file_that_cannot_be_opened_ends_the_start() -> None:
    with pytest.raises(CannotAuditError, match="BACKDROP_AUDIT_LOG is /nowhere/audit: No such file"):
        AuditLog.to("/nowhere/audit", "")


def test_without_a_target_nothing_is_kept() -> None:
    records = AuditLog.to("", "")
    records.write(RECORD)
    records.close()
    assert records.lost == 0
