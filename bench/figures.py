"""Rows of docs/figures/<area>.json: what a command measured, against which mark, where and when."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "figures"

Better = Literal["higher", "lower"]


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a figure has to reach.

    Attributes:
        value: the bound; None for a figure that is reported and not judged.
        better: on which side of the bound a figure meets it.
        reason: why the mark is missed; published only while it is.
    """

    value: float | None
    better: Better
    reason: str = ""

    def met_by(self, value: float) -> bool:
        """Whether a value reaches the mark."""
        if self.value is None:
            return True
        return value >= self.value if self.better == "higher" else value <= self.value

    def __str__(self) -> str:
        if self.value is None:
            return "reported"
        return f"{'≥' if self.better == 'higher' else '≤'} {self.value:g}"


def at_most(value: float, reason: str = "") -> Mark:
    """A mark that small values meet."""
    return Mark(value, "lower", reason)


def at_least(value: float, reason: str = "") -> Mark:
    """A mark that large values meet."""
    return Mark(value, "higher", reason)


def reported(better: Better) -> Mark:
    """No mark: the figure is published and not judged."""
    return Mark(None, better)


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value and its mark.

    Attributes:
        name: unique within its area.
        command: what measures the figure again.
        spread: how far single measurements differ, and of what they were.
    """

    name: str
    value: float
    mark: Mark
    command: str
    spread: str = ""

    @property
    def met(self) -> bool:
        """Whether the mark is reached."""
        return self.mark.met_by(self.value)

    def __str__(self) -> str:
        verdict = "" if self.mark.value is None else f" (mark {self.mark}) {'ok' if self.met else 'MISSED'}"
        return f"{self.name}: {self.value:g}{verdict}; {self.spread}".removesuffix("; ")

    def row(self) -> dict[str, Any]:
        """The figure as a row of its area's file."""
        row = {"name": self.name, "value": self.value, "mark": self.mark.value, "better": self.mark.better}
        row |= {"command": self.command, "spread": self.spread}
        return row if self.met or not self.mark.reason else row | {"why": self.mark.reason}


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where figures were measured: the checkout's commit, short, and the machine in a few words."""

    commit: str
    machine: str


def load(area: str) -> list[dict[str, Any]]:
    """The rows of an area; empty if nothing was measured yet."""
    file = FOLDER / f"{area}.json"
    rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return rows


def detail(area: str) -> str:
    """The file of an area's figures without a mark."""
    return f"{area}_detail"


def record(area: str, *figures: Figure, origin: Origin | None = None) -> None:
    """Writes the rows, replacing those of the same name and keeping the others in their order.

    Figures without a mark go to a file of their own: in the area's file every row is either met or missed.

    Args:
        area: the file's name, without `.json`.
        figures: the rows.
        origin: where they were measured; None for here and now.
    """
    origin = origin or Origin(commit(), machine())
    marked = {figure.name: figure for figure in figures if figure.mark.value is not None}
    unmarked = {figure.name: figure for figure in figures if figure.mark.value is None}
    for file, here, there in ((area, marked, unmarked), (detail(area), unmarked, marked)):
        earlier = load(file)
        rows = {row["name"]: row for row in earlier if row["name"] not in there}
        rows |= {name: figure.row() | dataclasses.asdict(origin) for name, figure in here.items()}
        if list(rows.values()) != earlier:
            FOLDER.mkdir(parents=True, exist_ok=True)
            text = json.dumps(list(rows.values()), indent=2, ensure_ascii=False) + "\n"
            (FOLDER / f"{file}.json").write_text(text)


def machine() -> str:
    """This machine in a few words."""
    return f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit(checkout: Path = ROOT) -> str:
    """A checkout's commit, short."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    process = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    return process.stdout.strip() or "unknown"
