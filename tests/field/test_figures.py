"""A figure is published once, with what measures it again: the minutes of the suite once stood in two places."""

from __future__ import annotations

import collections
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
AREAS: dict[str, list[dict[str, Any]]] = {
    file.stem: json.loads(file.read_text()) for file in sorted((ROOT / "docs" / "figures").glob("*.json"))
}
pytestmark = pytest.mark.row("old-figures")


def rows() -> list[tuple[str, dict[str, Any]]]:
    listed = [(area, row) for area, figures in AREAS.items() for row in figures if isinstance(row, dict)]
    return [(area, row) for area, row in listed if {"name", "command", "commit"} <= row.keys()]


def test_no_figure_is_published_by_two_commands() -> None:
    areas = collections.defaultdict(set)
    for area, row in rows():
        areas[row["name"]].add(area)
    assert {name: places for name, places in areas.items() if len(places) > 1} == {}


def test_what_measures_a_figure_exists() -> None:
    modules = {row["command"].split()[2] for _, row in rows() if row["command"].startswith("python -m ")}
    assert modules
    assert [module for module in sorted(modules) if importlib.util.find_spec(module) is None] == []
