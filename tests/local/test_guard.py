"""The guard: what it runs dies with its launcher, together with everything that it started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.guard import descendants
from local.supervisor import GUARD
from tests.local.small import family, running, wait_gone

WAIT_S = 20.0
# A service that ignores SIGTERM and has a child in another session that does so too.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(15, 1); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
time.sleep(600)
"""


def guard(code: str, *options: str) -> subprocess.Popen[bytes]:
    """Starts a guard over a Python program."""
    return subprocess.Popen(
        [sys.executable, "-I", str(GUARD), *options, "--", sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def shares_by_sessions() -> bool:
    """Whether the kernel has a group for each session; the file is empty where that is switched off."""
    group = Path("/proc/self/autogroup")
    return group.exists() and bool(group.read_text().strip())


def wait_family(process: subprocess.Popen[bytes], count: int) -> set[int]:
    """Waits until so many processes are below the guard."""
    deadline = time.monotonic() + WAIT_S
    while len(descendants(process.pid)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return family(process.pid)


def close(process: subprocess.Popen[bytes]) -> None:
    """What the kernel does when a launcher dies."""
    assert process.stdin is not None
    process.stdin.close()


def test_it_reports_the_pid_and_passes_the_exit_code_on() -> None:
    process = guard("import os, sys; sys.exit(7)")
    assert process.stdout is not None
    assert int(process.stdout.readline()) > 0
    assert process.wait(WAIT_S) == 7
    close(process)


def test_a_signal_becomes_an_exit_code() -> None:
    process = guard("import os; os.kill(os.getpid(), 9)")
    assert process.wait(WAIT_S) == 128 + signal.SIGKILL
    close(process)


def test_stubborn_services_and_their_children_are_killed_when_the_launcher_goes() -> None:
    process = guard(STUBBORN, "--grace=0.3")
    pids = wait_family(process, 2)
    close(process)
    assert process.wait(WAIT_S) == 128 + signal.SIGKILL
    wait_gone(pids, -1)


def test_polite_services_may_finish_what_they_do() -> None:
    code = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(3)); time.sleep(600)"
    process = guard(code, "--grace=10")
    wait_family(process, 1)
    time.sleep(0.3)  # until the handler is installed; without it the exit code below would tell
    close(process)
    assert process.wait(WAIT_S) == 3


def test_a_killed_guard_takes_its_service_along() -> None:
    process = guard("import time; time.sleep(600)")
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert running(pid)
    process.kill()
    process.wait()
    wait_gone({pid}, -1)
    close(process)


def test_it_removes_its_own_shared_memory_and_folders_and_no_others(tmp_path: Path) -> None:
    mine, other = Path("/dev/shm/backdrop_test_1_a"), Path("/dev/shm/backdrop_test_2_a")
    work, kept = tmp_path / "work", tmp_path / "kept"
    for folder in (work, kept):
        (folder / "deep").mkdir(parents=True)
    try:
        mine.write_bytes(b"x")
        other.write_bytes(b"x")
        process = guard("pass", "--shm-prefix=backdrop_test_1_", f"--remove={work}")
        assert process.wait(WAIT_S) == 0
        close(process)
        assert not mine.exists()
        assert other.exists()
        assert not work.exists()
        assert kept.exists()
    finally:
        mine.unlink(missing_ok=True)
        other.unlink(missing_ok=True)


def test_a_command_that_does_not_exist_is_an_error_in_the_log() -> None:
    process = subprocess.run(
        [sys.executable, "-I", str(GUARD), "--", "/no/such/program"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert process.returncode == 1
    assert process.stdout == ""
    assert "No such file or directory: '/no/such/program'" in process.stderr


@pytest.mark.skipif(not shares_by_sessions(), reason="this kernel shares by processes, not sessions")
def test_a_service_that_yields_has_a_lower_weight_than_other_sessions() -> None:
    code = """
import os, sys
group = int(open("/proc/self/autogroup").read().split()[-1])
sys.exit(10 * group + os.getpriority(os.PRIO_PROCESS, 0))
"""
    process = guard(code, "--nice=3")
    assert process.wait(WAIT_S) == 33
    close(process)
