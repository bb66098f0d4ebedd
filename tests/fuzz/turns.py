"""Turns of fuzzing: one target at a time in a process of its own; corpora and counts outlast the turns."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.targets import CORPUS, ROOT

WORK = ROOT / ".backdrop" / "fuzz"
STATE = WORK / "state.json"
_TURN_S = 60
_MOST_KEPT = 24
_LONGEST_KEPT = 2048
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PROGRESS = re.compile(r"^#(\d+)\s", re.MULTILINE)


@dataclasses.dataclass
class Counts:
    """What a target has shown over all runs; `failures` are those that were not mended."""

    executions: int = 0
    failures: int = 0
    seconds: float = 0.0


def read_state() -> dict[str, Counts]:
    """The counts by target."""
    content = json.loads(STATE.read_text()) if STATE.exists() else {}
    return {name: Counts(**values) for name, values in content.items()}


def fuzz(name: str, seconds: float) -> Counts:
    """One turn of a target. Its failures are the inputs that fail now, those of earlier turns included."""
    corpus, failures = WORK / "corpus" / name, WORK / "failures" / name
    for folder in (corpus, failures, CORPUS / name):
        folder.mkdir(parents=True, exist_ok=True)
    seed_corpus(name, corpus)
    for file in failures.iterdir():
        if _child(name, str(file)).returncode == 0:
            file.rename(corpus / file.name)  # it was mended
    before, began = {*failures.iterdir()}, time.monotonic()
    options = [f"-max_total_time={max(1, int(seconds))}", "-max_len=32768", "-rss_limit_mb=4096", "-len_control=0"]
    options += ["-print_final_stats=1", f"-artifact_prefix={failures}/"]
    run = _child(name, *options, str(corpus), str(CORPUS / name))
    text = (run.stdout + run.stderr).decode(errors="replace")
    numbers = _EXECUTED.findall(text) or _PROGRESS.findall(text)[-1:]
    counts = Counts(int(numbers[0]) if numbers else 0, len([*failures.iterdir()]), time.monotonic() - began)
    if run.returncode:
        # A process may also die without an input that says why.
        counts.failures += before == {*failures.iterdir()}
        (WORK / f"{name}.log").write_text(text)
        sys.stdout.write(text[-3000:])
    return counts


def _child(name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A process that fuzzes, or runs the inputs that it is given; an input that takes 90 s is a hang."""
    command = [sys.executable, "-m", "tests.fuzz.child", name, "-timeout=90", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def seed_corpus(name: str, corpus: Path) -> None:
    """Has the target write its own seeds into an empty corpus."""
    if not any(corpus.iterdir()):
        command = [sys.executable, "-m", "tests.fuzz.seeding", name, str(corpus)]
        subprocess.run(command, cwd=ROOT, check=True)


def keep(name: str) -> None:
    """Copies inputs of the working corpus to the one that is committed: those that libFuzzer's merge chooses."""
    merged, source, target = WORK / "merged" / name, WORK / "corpus" / name, CORPUS / name
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    _child(name, "-merge=1", str(merged), str(source))
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    small = sorted(
        (file for file in merged.iterdir() if file.stat().st_size <= _LONGEST_KEPT),
        key=lambda each: each.stat().st_size,
    )
    step = max(1, len(small) // _MOST_KEPT)
    for file in small[::step][:_MOST_KEPT]:
        shutil.copy(file, target / file.name[:16])


def run(names: Sequence[str], minutes: float) -> dict[str, Counts]:
    """Fuzzes the targets in turns of at most a minute until the time is up; returns the counts of all runs so far."""
    state, deadline = read_state(), time.monotonic() + 60 * minutes
    turn_s = min(_TURN_S, max(5.0, 60 * minutes / len(names)))
    while time.monotonic() < deadline:
        for name in names:
            if (rest := deadline - time.monotonic()) < 2:
                break
            counts = fuzz(name, min(turn_s, rest))
            all_ = state.setdefault(name, Counts())
            all_.executions += counts.executions
            all_.failures = counts.failures
            all_.seconds += counts.seconds
            STATE.write_text(json.dumps({key: dataclasses.asdict(value) for key, value in state.items()}, indent=2))
            sys.stdout.write(
                f"{name}: {counts.executions} executions in {counts.seconds:.0f} s, {counts.failures} failures\n"
            )
            sys.stdout.flush()
    return state
