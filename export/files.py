"""Digests of files, and what identifies a model by them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path

CONFIG = "config.pbtxt"
_PARTIAL = ".partial"
CONFIGS = "configs/"
"""Configs stand beside what they describe, fingerprint included, so they are not part of it."""


def partial(path: Path) -> Path:
    """A name beside `path` for what is still being written, hidden and unique.

    Not by process number: that is 1 in every container, so two pods that share a volume would write the same file.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{_PARTIAL}")


def is_partial(path: Path) -> bool:
    """Whether a name is one of `partial`."""
    return path.name.startswith(".") and path.name.endswith(_PARTIAL)


def digest(path: Path) -> str:
    """sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_files(folder: Path, version: str | None = None) -> dict[str, str]:
    """The sha256 of every file of a model, by its path within the folder, sorted; of one version's, if one is named."""
    digests = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        top, _, rest = name.partition("/")
        if version is None or not rest or not top.isdigit() or top == version:
            digests[name] = digest(path)
    return digests


def fingerprint(files: Mapping[str, str]) -> str:
    """What identifies a model: sha256 over its files' names and digests, without the configs it stands in."""
    served = sorted(name for name in files if name != CONFIG and not name.startswith(CONFIGS))
    lines = "".join(f"{name} {files[name]}\n" for name in served)
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
