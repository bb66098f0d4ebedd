"""The locks: packages by version and hash, of the environments here (`locks/`) and of the images (`k8s/images/`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from bench.figures import ROOT

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)((?:.*\\\n)*.*)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    """As PyPI normalises it: lower case, hyphens."""
    version: str
    hashes: frozenset[str]
    """sha256 of the files that are taken, as hex."""


def image_locks() -> list[Path]:
    """The locks of the images."""
    return sorted((ROOT / "k8s" / "images").glob("*.txt"))


def locks() -> list[Path]:
    """Every lock."""
    return [*sorted((ROOT / "locks").glob("*.txt")), *image_locks()]


def read(lock: Path) -> list[Pin]:
    """The packages of a lock."""
    return [
        Pin(canonicalize_name(name), version, frozenset(_HASH.findall(rest)))
        for name, version, rest in _PIN.findall(lock.read_text())
    ]
