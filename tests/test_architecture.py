"""The import directions of docs/architecture.md, held against the code."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("backdrop", "orchestrator", "export", "local", "training", "bench", "tests")

# What a room may import of ours, itself apart. bench and tests may import anything.
ALLOWED: dict[str, set[str]] = {
    "backdrop": set(),
    "orchestrator": {"backdrop.v1", "backdrop.errors"},
    "export": set(),
    "local": set(),
    "training": {"export"},
}


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide directions"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations() -> list[str]:
    """Imports of ours that go against the design; the figure of the architecture mark counts them."""
    found = []
    for room, allowed in ALLOWED.items():
        for file in sorted((ROOT / room).rglob("*.py")):
            if "backdrop/v1" in file.as_posix():
                continue
            for name in imports(file):
                top = name.split(".")[0]
                permitted = any(name == entry or name.startswith(entry + ".") for entry in allowed)
                if top in ROOMS and top != room and not permitted:
                    found.append(f"{file.relative_to(ROOT)} imports {name}")
    return found


def inner_imports(folder: str) -> set[str]:
    return {name for file in (ROOT / folder).rglob("*.py") for name in imports(file)}


def test_rooms_import_only_what_the_design_allows() -> None:
    assert violations() == []


INNER: dict[str, set[str]] = {
    "orchestrator/sampler": {
        "orchestrator.triton",
        "orchestrator.stages",
        "orchestrator.pipeline",
        "tritonclient",
    },
    "orchestrator/triton": {"orchestrator.stages", "orchestrator.pipeline", "orchestrator.sampler"},
    "orchestrator/stages": {"orchestrator.triton", "orchestrator.pipeline", "backdrop.v1"},
    "orchestrator/cache": {"orchestrator.triton", "orchestrator.stages", "orchestrator.pipeline"},
    "orchestrator/imaging": {
        "orchestrator.stages",
        "orchestrator.pipeline",
        "orchestrator.triton",
        "backdrop.v1",
    },
    "orchestrator": {"torch", "diffusers", "transformers", "onnxruntime"},
}


@pytest.mark.parametrize(("inner", "forbidden"), INNER.items())
def test_data_flows_one_way(inner: str, forbidden: set[str]) -> None:
    against = [name for name in inner_imports(inner) for bad in forbidden if name == bad or name.startswith(bad + ".")]
    assert against == []


def test_only_the_composition_root_reads_the_environment() -> None:
    readers = []
    for file in (ROOT / "orchestrator").rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"environ", "getenv"}:
            readers.append(file.name)
    assert readers == []  # pydantic-settings reads it, once, for orchestrator/__main__.py


def test_every_file_opens_with_what_lives_in_it() -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py") if "backdrop/v1" not in file.as_posix()]
    assert [file for file in files if not ast.get_docstring(ast.parse(file.read_text()))] == []


def modules(room: str) -> dict[str, Path]:
    """Every module of a room by its dotted name; a package is its `__init__`."""
    files = (file for file in (ROOT / room).rglob("*.py") if "backdrop/v1" not in file.as_posix())
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def ancestors(name: str) -> set[str]:
    """The packages that are imported before a module is."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_imports_itself_by_way_of_others(room: str) -> None:
    """Lazy imports and those for type checkers count too: a circle that only they close has no reading order either."""
    files = modules(room)
    graph: dict[str, set[str]] = {}
    for module, file in files.items():
        imported = set(imports(file))
        targets = {name if name in files else name.rpartition(".")[0] for name in imported}
        targets |= {package for name in targets for package in ancestors(name)} - ancestors(module)
        graph[module] = (targets & files.keys()) - {module}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
