"""`backdrop campaign`: every request of a file is made once, over as many runs as it takes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from backdrop.errors import Reason
from backdrop.testing import FakeBackdrop
from tests.backdrop.command_line import ROOT, run, said

WAIT_S = 30.0


def lines(product: Path, count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": f"mug-{number}", "product": str(product), "prompt": f"place {number}", "steps": 3, **more}
        for number in range(count)
    ]


def write(folder: Path, jobs: list[Any]) -> Path:
    file = folder / "campaign.jsonl"
    file.write_text("".join(json.dumps(job) + "\n" for job in jobs))
    return file


def campaign(fake: FakeBackdrop, file: Path, *more: str) -> Result:
    return run("campaign", file, "--out", file.parent / "results", "--endpoint", fake.endpoint, *more)


def folders(file: Path) -> list[str]:
    return sorted(path.name for path in (file.parent / "results").iterdir() if not path.name.startswith("."))


def test_each_request_has_a_folder_and_a_second_run_sends_nothing(
    fake: FakeBackdrop, product: Path, tmp_path: Path
) -> None:
    jobs = lines(product, 5, variants=2, seed=4)
    jobs[1] |= {"task": "text-to-image", "size": "64x64"}
    del jobs[1]["product"]
    jobs[2] |= {"layout": ["64x128", "16:9"], "preview": False}
    file = write(tmp_path, jobs)
    result = campaign(fake, file)
    assert result.exit_code == 0, result.output
    assert folders(file) == [f"mug-{number}" for number in range(5)]
    described = json.loads((tmp_path / "results" / "mug-2" / "result.json").read_text())
    assert described["prompt"] == "place 2"
    assert {each["layout"] for each in described["pictures"]} == {0, 1}
    assert (tmp_path / "results" / "mug-2" / described["pictures"][0]["file"]).stat().st_size > 100
    assert "5 made, 0 were there" in result.stdout
    sent = len(fake.requests)
    assert sent == 5
    result = campaign(fake, file)
    assert result.exit_code == 0, result.output
    assert "0 made, 5 were there" in result.stdout
    assert len(fake.requests) == sent


def test_the_example_runs(fake: FakeBackdrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")
    result = run("campaign", "campaign.jsonl", "--out", tmp_path / "results", "--endpoint", fake.endpoint)
    assert result.exit_code == 0, result.output
    assert "3 made" in result.stdout


def test_equal_lines_are_two_requests(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    job = lines(product, 1)[0]
    file = write(tmp_path, [job, job | {"name": "again"}])
    assert campaign(fake, file).exit_code == 0
    assert len({request.idempotency_key for request in fake.requests}) == 2


def test_a_request_that_fails_is_named_and_the_others_are_made(
    fake: FakeBackdrop, product: Path, tmp_path: Path
) -> None:
    jobs = lines(product, 4)
    jobs[2]["steps"] = 100_000
    file = write(tmp_path, jobs)
    result = campaign(fake, file)
    assert result.exit_code == 1
    assert folders(file) == ["mug-0", "mug-1", "mug-3"]
    assert "mug-2 failed" in said(result)
    assert "--steps" in said(result)
    write(tmp_path, [*jobs[:2], jobs[2] | {"steps": 3}, jobs[3]])
    result = campaign(fake, file)
    assert result.exit_code == 0, result.output
    assert "1 made, 3 were there" in result.stdout


def test_servers_that_are_full_or_away_for_a_while_cost_nothing(
    fake: FakeBackdrop, product: Path, tmp_path: Path
) -> None:
    fake.fail_next(Reason.QUEUE_FULL, 4)
    fake.fail_next(Reason.NO_REPLICA, 4)
    file = write(tmp_path, lines(product, 4))
    result = campaign(fake, file)
    assert result.exit_code == 0, result.output
    assert len(folders(file)) == 4


def test_no_server_ends_the_run_with_that_reason(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    fake.set_ready(False)
    file = write(tmp_path, lines(product, 3))
    result = campaign(fake, file, "--retries", "0")
    assert result.exit_code == 3
    assert folders(file) == []
    fake.set_ready(True)
    assert campaign(fake, file).exit_code == 0


def test_a_line_that_changed_is_refused(fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    file = write(tmp_path, lines(product, 2))
    assert campaign(fake, file).exit_code == 0
    write(tmp_path, lines(product, 2, guidance_scale=2.0))
    result = campaign(fake, file)
    assert result.exit_code == 2
    assert "is of another request" in said(result)
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "../mug"}, "name is '../mug'"),
        ({"name": None}, "name is None"),
        ({"name": "mug-0"}, "a line before has the name mug-0 too"),
        ({"task": "paint"}, "task is 'paint'; there are background, "),
        ({"stepz": 3}, "stepz is no field of a request"),
        ({"out": "elsewhere"}, "out is no field of a request"),
        ({"endpoint": "127.0.0.1:1"}, "endpoint is no field of a request"),
        ({"steps": "many"}, "Invalid value for '--steps': Input should be a valid integer"),
        ({"steps": None}, "steps is null"),
        ({"size": {"width": 3}}, "size is {"),
        ({"size": "3"}, "'3' is not a size; write WIDTHxHEIGHT"),
        ({"product": None}, "product is null"),
    ],
)
def test_wrong_lines_are_named_before_anything_is_sent(
    fake: FakeBackdrop, product: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    jobs = lines(product, 2)
    file = write(tmp_path, [jobs[0], jobs[1] | change])
    result = campaign(fake, file)
    assert result.exit_code == 2, result.output
    assert f"line 2: {reason}" in said(result)
    assert fake.requests == ()


@pytest.mark.parametrize("line", ["[]", "{", "3", '"x"', "[" * 10_000])
def test_what_is_no_object_is_named(fake: FakeBackdrop, tmp_path: Path, line: str) -> None:
    file = tmp_path / "campaign.jsonl"
    file.write_text(f"\n{line}\n")
    result = campaign(fake, file)
    assert result.exit_code == 2
    assert "line 2: " in said(result)


def test_an_empty_file_and_a_missing_one_are_errors(fake: FakeBackdrop, tmp_path: Path) -> None:
    assert "has no lines" in said(campaign(fake, write(tmp_path, [])))
    assert "No such file" in said(campaign(fake, tmp_path / "none.jsonl"))


def test_a_run_that_is_killed_goes_on_where_it_was(slow_fake: FakeBackdrop, product: Path, tmp_path: Path) -> None:
    """What was under way is asked for again with the key that it had."""
    file = write(tmp_path, lines(product, 8))
    out = tmp_path / "results"
    command = [sys.executable, "-m", "backdrop", "campaign", str(file), "--out", str(out), "--at-once", "2"]
    command += ["--endpoint", slow_fake.endpoint]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + WAIT_S
        while len(slow_fake.requests) < 4 and time.monotonic() < deadline:
            time.sleep(0.005)
        if sys.platform == "linux":  # elsewhere there is no such lock
            assert "another process works on" in said(campaign(slow_fake, file))
        process.send_signal(signal.SIGKILL)
    done = len(folders(file))
    before = {request.idempotency_key: request.conditioning.prompt for request in slow_fake.requests}
    assert done < 8
    result = campaign(slow_fake, file)
    assert result.exit_code == 0, result.output
    assert len(folders(file)) == 8
    assert not [path for path in out.iterdir() if path.name.endswith(".partial")]
    keys = {request.idempotency_key: request.conditioning.prompt for request in slow_fake.requests}
    assert len(keys) == 8, "no request has two keys"
    assert before.items() <= keys.items()
