"""`backdrop smoke` and `backdrop load`: what they say of a good server, and of one that is not."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

import backdrop
from backdrop._cli.load import Bounds, Report
from backdrop._cli.smoke import fault_of, product_task
from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import run, said


def test_every_pipeline_makes_a_picture() -> None:
    with FakeBackdrop() as fake:
        result = run("smoke", "--endpoint", fake.endpoint)
        assert result.exit_code == 0, result.output
        assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [p.name for p in fake.info.pipelines]


def test_a_server_that_is_not_there_is_told() -> None:
    result = run("smoke", "--endpoint", "127.0.0.1:1", "--wait", "0.1")
    assert result.exit_code == 3
    assert "127.0.0.1:1" in said(result)


@pytest.mark.parametrize("command", ["smoke", "load"])
def test_credentials_are_flags_as_of_other_commands(command: str, tmp_path: Path) -> None:
    result = run(command, "--endpoint", "127.0.0.1:1", "--token-file", str(tmp_path / "absent"))
    assert result.exit_code == 2
    assert "token" in said(result)


def picture() -> backdrop.Picture:
    with FakeBackdrop() as fake, backdrop.Client(fake.endpoint) as client:
        pipeline = client.info().pipelines[0]
        return client.generate(product_task(pipeline), prompt="x", steps=1).result().best


def test_what_is_wrong_with_a_picture_is_said() -> None:
    good = picture()
    assert fault_of(good) == ""
    assert "was announced as 7x" in fault_of(dataclasses.replace(good, width=7))
    assert good.receipt is not None
    other = dataclasses.replace(good.receipt, max_difference=3)
    assert "differ by up to 3 levels" in fault_of(dataclasses.replace(good, receipt=other))
    out = io.BytesIO()
    Image.new("RGB", (good.width, good.height), (9, 9, 9)).save(out, "PNG")
    assert "one flat colour" in fault_of(dataclasses.replace(good, data=out.getvalue()))


def test_load_reports_what_came_back() -> None:
    with FakeBackdrop() as fake:
        flags = ("--rate", "20", "--seconds", "1", "--steps", "1", "--max-failed", "0", "--max-p95", "30")
        result = run("load", "--endpoint", fake.endpoint, *flags)
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert report["sent"] == report["succeeded"] == len(fake.requests) > 0
        assert 0 < report["p50_s"] <= report["p95_s"]


def test_refusals_are_counted_and_not_retried() -> None:
    with FakeBackdrop(step_delay_s=0.3, max_running=1, max_queued=0) as fake:
        result = run(
            "load", "--endpoint", fake.endpoint, "--rate", "30", "--seconds", "1", "--steps", "3", "--max-failed", "0.1"
        )
    assert result.exit_code == 1
    assert "of the requests got no picture, and 10.0% may: {'QUEUE_FULL'" in said(result)


@pytest.mark.parametrize(
    ("durations", "bounds", "expected"),
    [
        ([1.0] * 95 + [9.0] * 5, Bounds(1.0, None), []),
        ([1.0] * 94 + [9.0] * 6, Bounds(1.0, None), ["p95 is 9.0 s, and may be 1 s."]),
        ([], Bounds(1.0, None), ["p95 is None s, and may be 1 s."]),
    ],
)
def test_bounds_are_of_the_requests_that_succeeded(durations: list[float], bounds: Bounds, expected: list[str]) -> None:
    assert Report.of(durations, Counter(), 10.0).faults(bounds) == expected


def test_an_unknown_pipeline_is_refused() -> None:
    with FakeBackdrop() as fake:
        result = run("load", "--endpoint", fake.endpoint, "--pipeline", "other")
    assert result.exit_code == 1
    assert "has no pipeline other" in said(result)
