"""Logs say where something failed and never quote what it failed on; libraries are heard from warnings on."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
import structlog

from orchestrator.telemetry import logs
from orchestrator.telemetry.foreign import quoted
from tests.captured_logs import captured_logs

SECRET = "a-secret-that-was-planted"


def failing() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as problem:
        raise RuntimeError(f"about {SECRET}") from problem


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_has_types_and_lines_but_no_texts(log_format: str) -> None:
    loggers: list[Any] = [structlog.get_logger("orchestrator.api"), logging.getLogger("grpc._cython")]
    with captured_logs("debug", log_format) as stream:
        for log in loggers:
            try:
                failing()
            except RuntimeError:
                log.exception("request failed")
    text = stream.getvalue()
    assert text.count("builtins.KeyError") == text.count("builtins.RuntimeError") == 2
    assert "test_logs.py" in text
    assert "in failing" in text
    assert SECRET not in text


def test_a_group_names_the_types_of_its_members() -> None:
    with captured_logs("info", "json") as stream:
        try:
            raise ExceptionGroup(SECRET, [ValueError(SECRET), OSError(SECRET)])
        except ExceptionGroup:
            structlog.get_logger("orchestrator").exception("failed")
    line = json.loads(stream.getvalue())
    assert "builtins.ValueError" in line["exception"]
    assert "builtins.OSError" in line["exception"]
    assert SECRET not in stream.getvalue()


def test_libraries_are_quiet_below_warnings_at_every_level() -> None:
    with captured_logs("debug", "json") as stream:
        for name in ("PIL.PngImagePlugin", "urllib3.connectionpool", "asyncio"):
            logging.getLogger(name).debug("tag %s", SECRET)
            logging.getLogger(name).info("header %s", SECRET)
            logging.getLogger(name).warning("from %s", name)
        structlog.get_logger("orchestrator.api").debug("ours")
    assert SECRET not in stream.getvalue()
    assert [json.loads(line)["event"].split()[0] for line in stream.getvalue().splitlines()] == [*["from"] * 3, "ours"]


async def test_what_nobody_awaits_is_told_without_its_text() -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(logs.loop_fault)
    try:
        with captured_logs("info", "json") as stream:
            loop.call_soon(lambda _: 1 // 0, SECRET)  # asyncio's own handler writes the arguments
            await asyncio.sleep(0.01)
    finally:
        loop.set_exception_handler(before)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["what"]) == ("fault in the event loop", "Exception")
    assert "ZeroDivisionError" in line["exception"]
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ERR unknown command 'AUTH', with args beginning with: 'x' ", "ERR unknown command 'AUTH'"),
        (f"wrong password {SECRET}", "wrong password [secret]"),
        ("bad input [[ 0.1 2 3e-4 5 6 7 8 9 10]\n [11 12 13]] of x", "bad input [[ [numbers] of x"),
        ("unexpected shape [1,4,32,32] for input", "unexpected shape [1,4,32,32] for input"),
        ("one\n  two", "one two"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_words_of_others_lose_values_and_secrets(text: str, expected: str) -> None:
    assert quoted(text, SECRET, "") == expected
