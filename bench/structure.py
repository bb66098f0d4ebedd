"""Counts over the source tree: sizes of files and functions, import circles, and words that belong to one room."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_LINES_OF_FILE = 300
MOST_LINES_OF_FUNCTION = 60
MOST_PARAMETERS = 8
GENERATED = "backdrop/v1/"
# Their public calls list every option of a request by name.
_SDK_CALLS = ("backdrop/_client.py", "backdrop/_sync.py", "backdrop/cli.py")
_PRODUCT = re.compile(r"product(?!ion)", re.IGNORECASE)
_FRAME_ROOM, _TASK_ROOM = "orchestrator/imaging/", "orchestrator/tasks/"


@dataclass(frozen=True)
class Tree:
    """Python files under a folder, by their path from it.

    Attributes:
        files: text by path.
    """

    files: Mapping[str, str]

    @classmethod
    def tracked(cls, root: Path) -> Tree:
        """The files of a checkout that git tracks, without generated code."""
        listing = subprocess.run(
            ["git", "ls-files", "-z", "*.py"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        paths = [path for path in listing.split("\0") if path and not path.startswith(GENERATED)]
        return cls({path: (root / path).read_text() for path in paths if (root / path).is_file()})

    def under(self, *rooms: str) -> Tree:
        """The files in some top-level folders."""
        return Tree({path: text for path, text in self.files.items() if path.partition("/")[0] in rooms})

    def source(self) -> Tree:
        """All but the tests."""
        return Tree({path: text for path, text in self.files.items() if not path.startswith("tests/")})

    def long_files(self) -> list[str]:
        """Files with too many lines."""
        lines = {path: len(text.splitlines()) for path, text in self.files.items()}
        return [f"{path} ({count})" for path, count in lines.items() if count > MOST_LINES_OF_FILE]

    def long_functions(self) -> list[str]:
        """Functions with too many lines, decorators not counted."""
        sizes = [(path, node, (node.end_lineno or 0) - node.lineno + 1) for path, node in self._functions()]
        return [f"{path} {node.name} ({lines})" for path, node, lines in sizes if lines > MOST_LINES_OF_FUNCTION]

    def wide_functions(self) -> list[str]:
        """Functions with too many parameters, self not counted; the SDK's public calls are exempt."""
        counts = [(path, node.name, _parameters(node)) for path, node in self._functions()]
        return [
            f"{path} {name} ({count})"
            for path, name, count in counts
            if count > MOST_PARAMETERS and not (path in _SDK_CALLS and (name == "__init__" or not name.startswith("_")))
        ]

    def _functions(self) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for path, text in self.files.items():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield path, node

    def import_circles(self) -> list[list[str]]:
        """Modules that import one another, directly or through others; lazy and type-checking imports count too.

        Importing a module also imports its packages. Only a module's own packages do not count, or every package that
        exports its modules would be a circle.
        """
        modules = {_module(path): text for path, text in self.files.items()}
        graph: dict[str, set[str]] = {}
        for name, text in modules.items():
            targets = _imported(text, modules)
            packages = {package for target in targets for package in _packages(target)} & set(modules)
            graph[name] = (targets | (packages - _packages(name))) - {name}
        return sorted(component for component in components(graph) if len(component) > 1)

    def product_files(self) -> list[str]:
        """Files of the orchestrator that say "product", outside the tasks and the frame's room."""
        return [
            path
            for path, text in self.files.items()
            if path.startswith("orchestrator/")
            and not path.startswith((_TASK_ROOM, _FRAME_ROOM))
            and _PRODUCT.search(text)
        ]

    def task_descriptions(self) -> dict[str, int]:
        """Lines by file of `orchestrator/tasks/`, without the module that defines the type `Task`."""
        return {
            path: len(text.splitlines())
            for path, text in self.files.items()
            if path.startswith(_TASK_ROOM) and not path.endswith("/__init__.py") and not _defines(text, "Task")
        }


def components(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Strongly connected components (Tarjan 1972), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    result: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            place = stack.index(name)
            result.append(sorted(stack[place:]))
            del stack[place:]

    for name in graph:
        if name not in index:
            visit(name)
    return iter(result)


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _packages(name: str) -> set[str]:
    """The packages that are imported before a module is."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


def _imported(text: str, modules: Mapping[str, str]) -> set[str]:
    """The modules of ours that a module's import statements name."""
    result = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            result |= {name if name in modules else node.module for name in names}
    return result & set(modules)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    count = sum(argument.arg not in ("self", "cls") for argument in named)
    return count + (arguments.vararg is not None) + (arguments.kwarg is not None)


def _defines(text: str, name: str) -> bool:
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in ast.parse(text).body)


def changed_files(names: Sequence[str]) -> list[str]:
    """Of the files that a commit changed, those outside tests, docs and generated code."""
    return [
        name
        for name in names
        if not name.startswith(("tests/", "docs/", GENERATED)) and not name.endswith((".md", "_pb2.py", "_pb2.pyi"))
    ]


_PART = re.compile(r"<!-- generated: [^>]*-->\n(.*?)<!-- end -->", re.DOTALL)
_MARKED = re.compile(r"[≤≥]\s*\d")


def readme_figures(text: str) -> int:
    """Rows of README's generated tables, and lines elsewhere that give a number with its mark (≤ or ≥)."""
    rows = 0
    for part in _PART.findall(text):
        table = [line for line in part.splitlines() if line.startswith("|")]
        rows += max(len(table) - 2, 0)
    return rows + sum(bool(_MARKED.search(line)) for line in _PART.sub("", text).splitlines())
