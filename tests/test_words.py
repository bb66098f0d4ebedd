"""Names follow docs/glossary.md: no type or result is named by a participle or a pronoun."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("backdrop", "orchestrator", "export", "local", "training", "bench", "k8s")
GENERATED = "backdrop/v1"
TYPES = {
    "Asked",
    "Company",
    "Found",
    "Given",
    "How",
    "Known",
    "Left",
    "Loaded",
    "Made",
    "Seat",
    "Wanted",
    "Way",
    "Wish",
}
# Not "left", which is also a side of a picture, nor "known", which is what a frame calls the pixels that stay.
RESULTS = {"asked", "company", "found", "given", "made", "wanted"}


def banned(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each banned type, variable and parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name.lstrip("_") in TYPES:
            yield node.lineno, node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in RESULTS:
            yield node.lineno, node.id
        elif isinstance(node, ast.arg) and node.arg in RESULTS:
            yield node.lineno, node.arg


def test_a_banned_name_is_reported() -> None:
    tree = ast.parse("class Made:\n    found: int = 0\n\ndef f(wanted):\n    pass\n")
    assert sorted(banned(tree)) == [(1, "Made"), (2, "found"), (4, "wanted")]


def test_names_say_what_a_thing_is() -> None:
    files = (file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")))
    places = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        if GENERATED not in file.as_posix()
        for line, name in banned(ast.parse(file.read_text()))
    ]
    assert places == []
