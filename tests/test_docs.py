"""Generated docs are up to date, links and paths in docs exist, and README's example is valid."""

import ast
import re
from pathlib import Path

import backdrop
from bench import tables

# Folders that git ignores: commands make them.
MADE_LATER = {".backdrop/export", "build/sbom/", "training/work/"}


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
    assert names == {"Background", "Client", "VariantFinished"}
    assert all(hasattr(backdrop, name) for name in names)
    assert len(source.splitlines()) <= 22


PAGES = sorted(
    [
        *(tables.ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *(file for folder in ("docs", "k8s", "examples") for file in (tables.ROOT / folder).rglob("*.md")),
    ]
)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    broken = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if link.startswith("http"):
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                broken.append(f"{page.relative_to(tables.ROOT)}: {link}")
    assert broken == []


ROOMS = {entry.name for entry in tables.ROOT.iterdir() if entry.is_dir()}


def is_module(name: str) -> bool:
    """Whether `python -m name` finds a module of ours."""
    file = tables.ROOT / name.replace(".", "/")
    return file.with_suffix(".py").exists() or (file / "__main__.py").exists()


def test_every_path_and_command_that_a_page_names_exists() -> None:
    missing = []
    for page in PAGES:
        paths = {path for path in re.findall(r"`([\w.-]+/[\w./-]*)`", prose(page)) if path.split("/")[0] in ROOMS}
        modules = {name for name in re.findall(r"`python -m ([\w.]+)", prose(page)) if name.split(".")[0] in ROOMS}
        unknown = {path for path in paths - MADE_LATER if not (tables.ROOT / path).exists()}
        unknown |= {name for name in modules if not is_module(name)}
        missing += [f"{page.relative_to(tables.ROOT)}: {name}" for name in sorted(unknown)]
    assert missing == []
