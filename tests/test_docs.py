"""Docs that are made from data are up to date, and README's example runs as it stands."""

import ast
import re

import backdrop
from bench import tables


def test_generated_tables_are_current() -> None:
    assert [file.name for file in tables.stale()] == [], "run `make docs`"


def test_the_readme_example_is_python_that_the_sdk_understands() -> None:
    text = (tables.ROOT / "README.md").read_text()
    source = text.split("```python\n")[1].split("```")[0]
    names = {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "backdrop"
    }
    assert names == {"Client", "VariantFinished"}
    assert all(hasattr(backdrop, name) for name in names)
    assert len(source.splitlines()) <= 22


def test_every_folder_that_the_readme_links_exists() -> None:
    text = (tables.ROOT / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (tables.ROOT / link).exists()] == []
