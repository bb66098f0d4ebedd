"""Rows of docs/figures/<area>.json: what a command measured, against which mark, where and when."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "figures"


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value. `mark` is what it has to reach, in the direction of `better`; `why` explains a miss.

    Without a mark it is reported and judged by nobody.
    """

    name: str
    value: float
    mark: float | None
    better: str  # "higher" or "lower"
    command: str
    spread: str = ""
    why: str = ""

    @property
    def met(self) -> bool:
        """Whether the mark is reached."""
        if self.mark is None:
            return True
        return self.value >= self.mark if self.better == "higher" else self.value <= self.mark


def load(area: str) -> list[dict[str, Any]]:
    """The rows of an area; none when nothing was measured yet."""
    file = FOLDER / f"{area}.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return rows


def detail(area: str) -> str:
    """Where the figures of an area are that have no mark."""
    return f"{area}_detail"


def record(area: str, *figures: Figure) -> None:
    """Writes the rows, replacing those of the same name and keeping the others in their order.

    Those without a mark go to a file of their own: in the area's, every row is either met or missed.
    """
    _write(area, [figure for figure in figures if figure.mark is not None])
    _write(detail(area), [figure for figure in figures if figure.mark is None])


def _write(area: str, figures: list[Figure]) -> None:
    if not figures:
        return
    rows = {row["name"]: row for row in load(area)}
    for figure in figures:
        row = {key: value for key, value in dataclasses.asdict(figure).items() if key != "why" or value}
        rows[figure.name] = row | {"commit": commit(), "machine": machine()}
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{area}.json").write_text(json.dumps(list(rows.values()), indent=2, ensure_ascii=False) + "\n")


def machine() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit() -> str:
    """The checkout's commit, short."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
