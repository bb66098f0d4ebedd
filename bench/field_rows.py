"""Tables of rows that tests show: a row is right if at least one test carries it and all that do pass."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.figures import ROOT, Figure, at_most
from tests.field.rows import ROWS


def rows(command_line: str) -> list[Figure]:
    """The rows of the table of field reports that no test shows or that one contradicts."""
    return [wrong("row", ROWS, "rows of the table of field reports that are not right", command_line)]


def wrong(mark: str, names: Collection[str], figure: str, command_line: str) -> Figure:
    """Runs every test with the mark, and counts the names that none shows or that one contradicts."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", mark, f"--junitxml={report}", "tests"]
        # Failing tests are what is counted.
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        passed, failed = outcomes(report.read_text(), mark)
    missing = [name for name in names if not passed.get(name) or failed.get(name)]
    spread = f"of {len(names)}, {sum(passed.values())} tests"
    return Figure(figure, len(missing), at_most(0, ", ".join(missing)), command_line, spread)


def outcomes(report: str, mark: str = "row") -> tuple[Mapping[str, int], Mapping[str, int]]:
    """How many tests of each name passed and failed, in pytest's XML report; skipped ones count as neither."""
    passed: dict[str, int] = {}
    failed: dict[str, int] = {}
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 (our own pytest wrote it)
        if case.find("skipped") is not None:
            continue
        counts = failed if case.find("failure") is not None or case.find("error") is not None else passed
        for entry in case.iter("property"):
            if entry.get("name") == mark:
                name = str(entry.get("value"))
                counts[name] = counts.get(name, 0) + 1
    return passed, failed
