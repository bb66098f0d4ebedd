"""Structured logs on stderr: one JSON object a line for machines, coloured text for people. No text of a request."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any, TextIO

import structlog

from orchestrator.telemetry.foreign import frames

OURS = "orchestrator"
log = structlog.get_logger("orchestrator.telemetry")


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Sets up structlog, also for the logs of libraries, which begin at warnings whatever `level` says.

    The composition root calls it once; `log_format` is "json" or "console", the default stream is stderr.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(frames),
    ]
    render: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    least = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(OURS).setLevel(least)
    # At lower levels libraries write what passes through them: tags of pictures, headers, bodies of answers.
    root.setLevel(max(least, logging.WARNING))


def loop_fault(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs what no code awaits, as an event loop's exception handler; asyncio's own writes texts and arguments."""
    problem = context.get("exception")
    what = str(context.get("message", "")).partition(" in callback")[0].partition("\n")[0][:100]
    log.error("fault in the event loop", what=what, exc_info=problem if isinstance(problem, Exception) else None)
