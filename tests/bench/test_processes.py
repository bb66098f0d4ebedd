"""Processor time by process: grows with work, and is 0 for a process that is gone."""

import os
import subprocess
import sys
import time

from bench.processes import cpu_s


def test_work_shows() -> None:
    before, end = cpu_s(os.getpid()), time.process_time() + 0.2
    while time.process_time() < end:
        sum(range(10_000))
    assert cpu_s(os.getpid()) >= before + 0.1


def test_children_are_counted() -> None:
    code = "import time\nwhile time.process_time() < 0.2: pass\nprint('worked', flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    try:
        assert cpu_s(os.getpid()) >= cpu_s(child.pid) >= 0.1
    finally:
        child.communicate("\n")


def test_a_process_that_is_gone_costs_nothing() -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert cpu_s(int(child.stdout)) == 0
