"""The modules of `export/` import each other in one direction, lazy and type-only imports included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.conftest import ROOT


def imported(file: Path, modules: set[str]) -> set[str]:
    """The modules among `modules` that a file imports anywhere: at the top, in a function, under TYPE_CHECKING."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (members & modules) or {str(node.module)}
    return names & modules


def test_no_import_leads_back() -> None:
    files = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
        for path in (ROOT / "export").rglob("*.py")
    }
    assert len(files) > 50
    graph = {module: imported(path, set(files)) - {module} for module, path in files.items()}
    assert "export.build" in graph["export.produce"], "imports inside functions are seen"
    assert "export.adapters" in graph["export.spec"], "imports for types alone are seen"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"an import circle: {' → '.join(error.args[1])}") from None
