"""Where audit records go: JSON lines in a file or on stdout, and OpenTelemetry logs. No call waits for them."""

from __future__ import annotations

import contextlib
import json
import logging.handlers
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TextIO

import structlog

from orchestrator.telemetry.audit_record import Fields
from orchestrator.telemetry.tracing import resource

log = structlog.get_logger("orchestrator.telemetry.audit_log")

STDOUT = "stdout"
_MOST_WAITING = 10_000
_CLOSE_S = 5.0
_EXPORT_TIMEOUT_S = 5.0


class CannotAuditError(Exception):
    """The file of the audit records cannot be opened."""


class AuditLog:
    """Hands records to its sinks from a thread of its own, so that a slow disk holds no call up.

    Records that a sink does not take, or that come faster than they are written, are lost; each is counted.
    """

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks
        self._records: queue.Queue[Fields | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._told = False
        self.lost = 0
        """Records that are not in every sink."""
        if sinks:
            self._thread.start()

    @classmethod
    def to(cls, target: str, otlp_endpoint: str) -> AuditLog:
        """Writes to `target` ("stdout", a file, or "" for neither) and to an OTLP/HTTP collector unless that is "".

        Raises:
            CannotAuditError: the file cannot be opened.
        """
        try:
            sinks: list[Sink] = [JsonLines(target)] if target else []
        except OSError as problem:
            raise CannotAuditError(f"BACKDROP_AUDIT_LOG is {target}: {problem.strerror}") from None
        return cls(*sinks, *([OtelLogs(otlp_endpoint)] if otlp_endpoint else []))

    def write(self, record: Fields) -> None:
        """Takes a record; returns at once."""
        if not self._sinks:
            return
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._lose("queue full")

    def close(self) -> None:
        """Writes the remaining records, for at most 5 s, and closes the sinks. Blocks."""
        if self._sinks:
            with contextlib.suppress(queue.Full):
                self._records.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (record := self._records.get()) is not None:
            for sink in self._sinks:
                try:
                    sink.write(record)
                except (OSError, ValueError) as problem:
                    self._lose(type(problem).__name__)
        for sink in self._sinks:
            sink.close()

    def _lose(self, why: str) -> None:
        self.lost += 1
        if not self._told:
            self._told = True
            log.error("audit records are lost; backdrop_audit_records_lost counts them", why=why)


class Sink:
    """What takes records, one after another, from one thread."""

    def write(self, record: Fields) -> None:
        """Takes a record. Raises OSError if that fails."""
        raise NotImplementedError

    def close(self) -> None:
        """Sends what is left."""


class JsonLines(Sink):
    """One JSON object a line. A file that a log rotation moved away is opened anew; only the server's user reads it."""

    def __init__(self, target: str) -> None:
        self._handler = _Stream(sys.stdout) if target == STDOUT else _File(target)

    def write(self, record: Fields) -> None:
        """Writes a line."""
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        self._handler.emit(logging.LogRecord("audit", logging.INFO, "", 0, text, None, None))

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # what did not fit was counted when it was written
            self._handler.close()


class _Stream(logging.StreamHandler[TextIO]):
    """Raises what logging's own handlers would print, with the record's text."""

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        raise


class _File(_Stream, logging.handlers.WatchedFileHandler):
    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class OtelLogs(Sink):
    """OpenTelemetry logs over OTLP/HTTP: the record's fields are attributes, its event name is `backdrop.audit`."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

        exporter = OTLPLogExporter(endpoint.rstrip("/") + "/v1/logs", timeout=_EXPORT_TIMEOUT_S)
        self._provider = LoggerProvider(resource=resource())
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self._logger = self._provider.get_logger("backdrop.orchestrator")

    def write(self, record: Fields) -> None:
        """Hands the record to the exporter's own thread."""
        attributes = {f"backdrop.{name}": _attribute(value) for name, value in record.items()}
        now = time.time_ns()
        self._logger.emit(timestamp=now, observed_timestamp=now, event_name="backdrop.audit", attributes=attributes)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def _attribute(value: object) -> str | int | float | bool | Sequence[str]:
    if isinstance(value, str | int | float):
        return value
    return [str(each) for each in value] if isinstance(value, list) else json.dumps(value)
