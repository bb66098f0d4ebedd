"""The rooms of training/ import in one direction, and no file imports itself by way of others."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = (
    "config",
    "presets",
    "core",
    "world",
    "data",
    "encoders",
    "encoded",
    "judges",
    "denoisers",
    "publish",
    "evaluation",
)
"""A room may import itself and the rooms before it."""


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def imports() -> dict[str, set[str]]:
    """The modules of training/ that each of its modules imports, wherever in the file the import stands."""
    files = [file for file in (ROOT / "training").rglob("*.py") if file.name != "__init__.py"]
    names = {module_of(file) for file in files}
    graph: dict[str, set[str]] = {}
    for file in files:
        targets: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                targets |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
        graph[module_of(file)] = targets & names
    return graph


def test_no_file_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(imports()).prepare()  # raises CycleError with the circle


def test_rooms_import_in_one_direction() -> None:
    rooms = {name: name.split(".")[1] for name in imports()}
    upward = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        for target in targets
        if rooms[name] in FLOORS and FLOORS.index(rooms[target]) > FLOORS.index(rooms[name])
    ]
    assert upward == []
    assert set(rooms.values()) - set(FLOORS) == {"all"}
