"""The logs of this process as the orchestrator configures them, written to a stream of a test."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

import structlog

from orchestrator.telemetry import logs


@contextlib.contextmanager
def captured_logs(level: str, log_format: str) -> Iterator[io.StringIO]:
    """What is logged in the block, by libraries too; the logging of before is put back afterwards."""
    root, ours, config = logging.getLogger(), logging.getLogger(logs.OURS), structlog.get_config()
    handlers, levels, stream = root.handlers, (root.level, ours.level), io.StringIO()
    logs.configure(level, log_format, stream)
    # Loggers of modules must not keep this configuration for later tests.
    structlog.configure(**(structlog.get_config() | {"cache_logger_on_first_use": False}))
    try:
        yield stream
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        structlog.configure(**config)
