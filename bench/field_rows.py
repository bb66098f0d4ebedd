"""Rows of the table of field reports that are not right: a row is right if a test carries it and all that do pass."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from bench.figures import ROOT, Figure, at_most
from tests.field.rows import ROWS


def rows(command_line: str) -> list[Figure]:
    """Runs every test that carries a row, and counts the rows that none shows or that one contradicts."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "row", f"--junitxml={report}", "tests"]
        # Failing tests are what is counted.
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        passed, failed = outcomes(report.read_text())
    wrong = [name for name in ROWS if not passed.get(name) or failed.get(name)]
    name, spread = (
        "rows of the table of field reports that are not right",
        f"of {len(ROWS)}, {sum(passed.values())} tests",
    )
    return [Figure(name, len(wrong), at_most(0, ", ".join(wrong)), command_line, spread)]


def outcomes(report: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """How many tests of each row passed, and how many failed, in pytest's XML report; skipped ones count as neither."""
    passed: dict[str, int] = {}
    failed: dict[str, int] = {}
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 (our own pytest wrote it)
        if case.find("skipped") is not None:
            continue
        counts = failed if case.find("failure") is not None or case.find("error") is not None else passed
        for entry in case.iter("property"):
            if entry.get("name") == "row":
                row = str(entry.get("value"))
                counts[row] = counts.get(row, 0) + 1
    return passed, failed
