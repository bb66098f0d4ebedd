"""Measured figures as rows of JSON files, with the command that measures each again."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOO_SHORT = "trained for hours on two cores; see what is missed in docs/models.md"
"""The reason for a missed mark, if the figure has none of its own."""


@dataclass(frozen=True)
class Figure:
    """A measured value and its mark, if it has one."""

    name: str
    value: float
    mark: float | None
    better: str
    """"higher" or "lower"."""
    spread: float
    """Half the 95 % interval, or what `name` says."""
    why: str = ""
    """Why the mark is missed; written only if it is."""

    def met(self) -> bool:
        """Whether the value reaches its mark; True without a mark."""
        if self.mark is None:
            return True
        return self.value >= self.mark if self.better == "higher" else self.value <= self.mark

    def __str__(self) -> str:
        target = "reported" if self.mark is None else f"mark {self.mark:g}, {self.better} is better"
        return f"{self.name}: {self.value:.4g} ({target}, spread {self.spread:.3g})"


def machine() -> str:
    """The number of cores and the processor, as text."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{os.cpu_count()} CPU cores, {model}"


def commit() -> str:
    """The checked-out commit, or "unknown" outside a checkout."""
    result = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return result.stdout.strip() or "unknown"


def update(path: Path, figures: list[Figure], command: str) -> None:
    """Writes the figures with a mark to `path`, the others to `<name>_detail.json` in the same folder.

    A figure replaces the row of the same name, also one in the other file.
    """
    detail = path.with_name(f"{path.stem}_detail.json")
    measured = {figure.name for figure in figures}
    _write(path, [figure for figure in figures if figure.mark is not None], measured, command)
    _write(detail, [figure for figure in figures if figure.mark is None], measured, command)


def _write(path: Path, figures: list[Figure], measured: set[str], command: str) -> None:
    """Writes the rows of `figures`; rows of other `measured` names, which belong to another file, go."""
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    names = {figure.name for figure in figures}
    by_name = {row["name"]: row for row in rows if row["name"] in names or row["name"] not in measured}
    if not by_name and not figures:
        return
    here = {"command": command, "commit": commit(), "machine": machine()}
    for figure in figures:
        row: dict[str, Any] = {"name": figure.name, "value": round(figure.value, 4), "mark": figure.mark}
        row |= {"better": figure.better, "spread": round(figure.spread, 4), **here}
        by_name[figure.name] = row if figure.met() else row | {"why": figure.why or TOO_SHORT}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(by_name.values()), indent=1, ensure_ascii=False) + "\n")
