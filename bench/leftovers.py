"""Processes and shared-memory regions that a killed launcher leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import ROOT

_START_TIMEOUT_S = 120.0


def after_sigkill(wait_s: float) -> tuple[list[str], float]:
    """Starts a whole cluster, kills its launcher with SIGKILL, and waits at most `wait_s` for everything to go.

    Returns what remains, and after how many seconds nothing did (or `wait_s`).
    """
    before = _regions()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"
        command = [sys.executable, "-m", "local", "--port", "0", "--state-file", str(state), "--log-dir", folder]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as launcher:
            _wait_for(state, launcher)
            services = json.loads(state.read_text())["services"].values()
            family = _descendants({launcher.pid})
            assert {service["pid"] for service in services} <= family, "the services are the launcher's descendants"
            launcher.send_signal(signal.SIGKILL)
        family.discard(launcher.pid)
        begin = time.monotonic()
        while (remaining := _remaining(family, before)) and time.monotonic() - begin < wait_s:
            time.sleep(0.1)
        return remaining, time.monotonic() - begin


def _wait_for(state: Path, launcher: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not state.exists():
        if launcher.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the cluster did not start")
        time.sleep(0.1)


def _descendants(roots: set[int]) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[1])
    family = set(roots)
    while children := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= children
    return family


def _stat(pid: int) -> list[str]:
    """State, parent and so on of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _remaining(family: set[int], before: set[str]) -> list[str]:
    alive = [f"process {pid}" for pid in sorted(family) if (stat := _stat(pid)) and stat[0] != "Z"]
    return alive + [f"region {name}" for name in sorted(_regions() - before)]


def _regions() -> set[str]:
    return set(os.listdir("/dev/shm"))  # noqa: PTH208, S108
