"""Everything that is installed comes by hash from a lock, and the locks are those of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.figures import ROOT
from bench.locks import locks, read

UNHASHED = {
    "locks/torch.txt": "which file it is depends on the index: PyPI's has CUDA, PyTorch's for CPUs has not",
    "--no-deps --no-build-isolation --editable .": "our own code; no package of an index",
}
"""What an install without hashes has in its line, and why it has no hashes."""
PAGES = [
    *(ROOT / name for name in ("Makefile", ".ci/run", "README.md", "CONTRIBUTING.md")),
    *(
        file
        for pattern in ("*.md", "*.Dockerfile")
        for room in ("docs", "k8s", "examples")
        for file in (ROOT / room).rglob(pattern)
    ),
]
INSTALL = re.compile(r"\b(pip3?|uv pip|pipx|uv tool) (install|download)\b|\buvx\b|\$\(HASHED")


def unhashed(text: str) -> Iterator[str]:
    """The lines of a file that install something without hashes and without a reason."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        hashed = "--require-hashes" in line or "$(HASHED" in line
        if INSTALL.search(line) and not hashed and not any(words in line for words in UNHASHED):
            yield line.strip()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_install_is_by_hash(file: Path) -> None:
    assert list(unhashed(file.read_text())) == []


def test_an_install_without_hashes_is_found() -> None:
    text = "a:\n\tpython -m pip install \\\n\t  --quiet x==1\n\tpip install --require-hashes -r y\n"
    assert list(unhashed(text)) == ["python -m pip install --quiet x==1"]


def test_every_reason_has_its_install() -> None:
    text = (ROOT / "Makefile").read_text()
    assert [words for words in UNHASHED if words not in text] == []


@pytest.mark.parametrize("lock", [lock for lock in locks() if lock.name != "torch.txt"], ids=lambda lock: lock.name)
def test_every_package_of_a_lock_has_hashes(lock: Path) -> None:
    pins = read(lock)
    assert len(pins) == len(re.findall(r"^[^\s#]", lock.read_text(), re.MULTILINE)) > 0
    assert [pin.name for pin in pins if not pin.hashes] == []


def required(extra: str) -> Iterator[Requirement]:
    """What an extra of pyproject.toml asks for on this machine, with the extras that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"][extra]):
        requirement = Requirement(line)
        if requirement.name == "backdrop":
            for inner in requirement.extras:
                yield from required(inner)
        elif requirement.marker is None or requirement.marker.evaluate():
            yield requirement


@pytest.mark.parametrize("extra", ["local", "dev"])
def test_a_lock_is_that_of_pyproject_and_constraints(extra: str) -> None:
    versions = {pin.name: pin.version for lock in (f"{extra}.txt", "torch.txt") for pin in read(ROOT / "locks" / lock)}
    against = [
        f"{requirement}: {versions.get(canonicalize_name(requirement.name), 'missing')}"
        for requirement in required(extra)
        if not requirement.specifier.contains(versions.get(canonicalize_name(requirement.name), "0.dev0"))
    ]
    assert against == [], "run `make locks`"
    pinned = {pin.name: pin.version for pin in read(ROOT / "constraints.txt")}
    assert {name: version for name, version in versions.items() if pinned.get(name, version) != version} == {}
