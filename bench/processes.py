"""Processor seconds of processes, as the kernel counts them: other work on the machine hardly changes them."""

from __future__ import annotations

import os
from pathlib import Path

from local.guard import descendants

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and of its running descendants; 0 for one that is gone."""
    return sum(own_s(one) for one in {pid, *descendants(pid)})


def own_s(pid: int) -> float:
    """Processor seconds of the process alone."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS
