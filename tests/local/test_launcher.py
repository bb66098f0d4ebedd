"""`python -m local` as a process: it starts, stops on a signal, names what is wrong, and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.local.small import CONFIG, GONE_S, START_S, family, launch, launched, wait_ended, wait_gone, write_repository


def test_sigkill_of_the_launcher_leaves_no_process_and_no_shared_memory(
    double_repository: Path, tmp_path: Path
) -> None:
    with launched(double_repository, tmp_path) as (process, state):
        pids = family(process.pid)
        # Launcher, a guard and a server for each of the two, and the stub of the one model.
        assert len(pids) >= 6
        assert {service["pid"] for service in state["services"].values()} <= pids
        assert list(Path("/dev/shm").glob(f"backdrop_{process.pid}_*"))
        process.kill()
        process.wait()
        wait_gone(pids, process.pid)


def test_sigkill_of_a_guard_leaves_nothing_of_its_service_which_starts_again(
    double_repository: Path, tmp_path: Path
) -> None:
    with launched(double_repository, tmp_path) as (process, state):
        guard = state["services"]["triton-0"]["guard_pid"]
        pids = family(guard)
        os.kill(guard, signal.SIGKILL)
        wait_ended(pids)
        assert process.stderr is not None
        assert "triton-0 died after" in (death := process.stderr.readline())
        assert "its guard was killed by SIGKILL" in death
        assert f"triton-0 is ready again at {state['services']['triton-0']['endpoint']}" in process.stderr.readline()
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(number: signal.Signals, double_repository: Path, tmp_path: Path) -> None:
    with launched(double_repository, tmp_path) as (process, _):
        pids = family(process.pid)
        process.send_signal(number)
        out, _ = process.communicate(timeout=GONE_S)
        assert process.returncode == 0
        assert out.splitlines()[-2:] == ["ready", "stopping"]
        wait_gone(pids, process.pid)
        assert not (tmp_path / "state.json").exists()


def test_a_missing_repository_is_said_before_anything_starts(tmp_path: Path) -> None:
    process = launch("--only", "redis,triton", "--repository", str(tmp_path / "nowhere"), "--log-dir", str(tmp_path))
    out, errors = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert out == ""
    assert "nowhere is no model repository: it has no pipeline.json." in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("option", ["--redis-port", "--triton-port"])
def test_a_taken_port_is_said_before_anything_starts(option: str, double_repository: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = launch(
            *("--only", "redis,triton", "--repository", str(double_repository)),
            *("--log-dir", str(tmp_path), option, port),
        )
        out, errors = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert out == ""
    assert f"Port {port} on 127.0.0.1 cannot be used" in errors
    assert f"choose another with {option}." in errors


def test_a_model_that_cannot_load_is_quoted_from_the_log(tmp_path: Path) -> None:
    repository = write_repository(tmp_path / "repository", CONFIG.replace('"y"', '"z"'))
    process = launch("--only", "triton", "--repository", str(repository), "--log-dir", str(tmp_path))
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert "triton-0 stopped with exit code 1 before it was ready." in errors
    assert "its outputs are not those of config.pbtxt" in errors
    assert "Traceback" not in errors


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    process = launch("--only", "redis,kafka", "--log-dir", str(tmp_path))
    _, errors = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert "There is no service 'kafka'; there are redis, triton, orchestrator." in errors
