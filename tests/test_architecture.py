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
    "orchestrator": {"backdrop.v1", "backdrop.errors", "backdrop.contract"},
    "export": {"orchestrator.repository", "orchestrator.tasks"},
    "local": set(),
    "training": {"export", "backdrop.contract"},
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


def inner_imports(inner: str) -> set[str]:
    """What a folder, or one file, imports."""
    path = ROOT / inner
    files = [path] if path.suffix else sorted(path.rglob("*.py"))
    assert files, f"there is no {inner}"
    return {name for file in files for name in imports(file)}


def lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_rooms_import_only_what_the_design_allows() -> None:
    assert violations() == []


# What each part of the orchestrator may import of the others, itself apart: from the arrays up to the wire.
ORDER: dict[str, set[str]] = {
    "arrays.py": set(),
    "addresses.py": set(),
    "allocator.py": set(),
    "budget.py": set(),
    "concurrency.py": set(),
    "weak_arrays.py": set(),
    "telemetry": set(),
    "identity": set(),
    "cache": {"telemetry"},
    "sampler": set(),
    "scheduling": {"concurrency", "telemetry", "weak_arrays"},
    "triton": {"telemetry", "weak_arrays"},
    "quotas": {"cache"},
    "settings.py": {"addresses", "cache", "quotas", "triton"},
    "repository": {"concurrency", "sampler", "telemetry", "triton"},
    "imaging": {"arrays"},
    "decoding": {"arrays", "allocator"},
    "tasks": {"arrays", "imaging", "repository"},
    "request.py": {"tasks", "repository"},
    "events.py": {"cache", "imaging"},
    "stages": {
        *("arrays", "budget", "cache", "concurrency", "events", "imaging", "repository", "sampler", "tasks"),
        "telemetry",
    },
    "pipeline": {
        *("arrays", "cache", "concurrency", "events", "identity", "imaging", "repository", "request"),
        *("sampler", "scheduling", "stages", "telemetry"),
    },
}
# The api room and the composition root meet all of them.
TOP = {"api", "footprint", "assembly", "gauges", "__main__", "__init__"}
# What the contract says in messages is read where messages come in; everything else reads the contract's own types.
READS_MESSAGES = ("orchestrator/api", "orchestrator/tasks")


def parts_of_the_orchestrator() -> set[str]:
    paths = (ROOT / "orchestrator").iterdir()
    return {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()}


def test_every_part_of_the_orchestrator_has_its_place() -> None:
    assert parts_of_the_orchestrator() == {name.removesuffix(".py") for name in ORDER} | TOP


@pytest.mark.parametrize(("part", "allowed"), ORDER.items())
def test_data_flows_one_way(part: str, allowed: set[str]) -> None:
    permitted = {f"orchestrator.{name}" for name in (*allowed, part.removesuffix(".py"))}
    names = {name for name in inner_imports(f"orchestrator/{part}") if lies_in(name, "orchestrator")}
    assert [name for name in sorted(names) if not any(lies_in(name, each) for each in permitted)] == []


def test_the_order_has_no_circle() -> None:
    placed: set[str] = set()
    for part, allowed in ORDER.items():
        assert allowed <= placed, f"{part} comes before {sorted(allowed - placed)}"
        placed.add(part.removesuffix(".py"))


def test_only_the_api_and_tasks_read_messages() -> None:
    against = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "orchestrator").rglob("*.py"))
        if not file.relative_to(ROOT).as_posix().startswith(READS_MESSAGES)
        if any(lies_in(name, "backdrop.v1") for name in imports(file))
    ]
    assert against == []


# Libraries that a part must not need.
WITHOUT: dict[str, set[str]] = {
    "orchestrator": {"torch", "diffusers", "transformers", "onnxruntime"},
    "orchestrator/sampler": {"tritonclient", "grpc", "PIL"},
    "orchestrator/imaging": {"tritonclient", "grpc"},
    "orchestrator/stages": {"tritonclient", "grpc"},
    "orchestrator/tasks": {"tritonclient", "grpc"},
    "orchestrator/pipeline": {"tritonclient", "grpc"},
    "backdrop/contract": {"grpc", "typer", "rich"},
}


@pytest.mark.parametrize(("inner", "libraries"), WITHOUT.items())
def test_parts_do_without_libraries(inner: str, libraries: set[str]) -> None:
    against = [name for name in inner_imports(inner) if any(lies_in(name, library) for library in libraries)]
    assert against == []


def test_the_contract_knows_nobody_who_uses_it() -> None:
    ours = {name for name in inner_imports("backdrop/contract") if lies_in(name, "backdrop")}
    allowed = ("backdrop.contract", "backdrop.errors", "backdrop.v1")
    assert [name for name in sorted(ours) if not any(lies_in(name, each) for each in allowed)] == []


def test_only_the_composition_root_reads_the_environment() -> None:
    readers = []
    for file in (ROOT / "orchestrator").rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        if names & {"environ", "getenv"}:
            readers.append(file.name)
    assert readers == ["__main__.py"]  # for names that are no setting; pydantic-settings reads the others, once


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
