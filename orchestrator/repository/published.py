"""The mark of a published repository: every digest was checked once, so its readers need not read all files again.

Only the publisher may write to the volume, so the mark is a digest and not a signature: it shows that `pipeline.json`
is the one whose files were checked, and each file's size shows that none was cut short since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.repository.spec import PIPELINES, RepositoryError

MARK = "published.json"
Files = Mapping[str, Mapping[str, str]]
"""Digests by model and file."""


def files_of(document: Mapping[str, Any]) -> Files:
    """The listed files of a pipeline.json."""
    return {name: entry["files"] for name, entry in document["models"].items()}


def is_published(path: Path) -> bool:
    """Whether a folder has a mark; it may still be a wrong one."""
    return (path / MARK).is_file()


def write_mark(path: Path, files: Files) -> None:
    """Marks a repository whose digests were checked."""
    sizes = {f"{model}/{name}": (path / model / name).stat().st_size for model in files for name in files[model]}
    mark = {PIPELINES: _digest(path / PIPELINES), "sizes": sizes}
    (path / MARK).write_text(json.dumps(mark, indent=1) + "\n")


def expect_published(path: Path, files: Files) -> None:
    """Checks a marked repository by its mark: reads none of its files, and asks for their sizes.

    Raises:
        RepositoryError: the mark is of another pipeline.json, or a file is missing or has another size.
    """
    try:
        mark = json.loads((path / MARK).read_text())
        digest, sizes = mark[PIPELINES], dict(mark["sizes"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RepositoryError(f"{path / MARK} cannot be read: {problem!r}; publish the repository again") from None
    if digest != _digest(path / PIPELINES):
        raise RepositoryError(f"{path / MARK} is of another {PIPELINES}; publish the repository under a new name")
    for model in files:
        for name in files[model]:
            file, size = path / model / name, sizes.get(f"{model}/{name}")
            try:
                size_here = file.stat().st_size
            except FileNotFoundError:
                raise RepositoryError(f"{file} is not there") from None
            if size_here != size:
                raise RepositoryError(f"{file} has {size_here} bytes, and had {size} when it was published")


def expect_digests(path: Path, files: Files) -> None:
    """Reads files and compares them with their digests; those of models that no pipeline uses too.

    Raises:
        RepositoryError: a file is missing or has another digest.
    """
    for model, names in files.items():
        for name, digest in names.items():
            file = path / model / name
            try:
                digest_here = _digest(file)
            except FileNotFoundError:
                raise RepositoryError(f"{file} is not there") from None
            if digest_here != digest:
                raise RepositoryError(f"{file} has {digest_here}, {PIPELINES} says {digest}")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
