"""`python -m bench.sbom`: compares the bills of materials in `build/sbom/` with the locks that they were made from.

A bill is a CycloneDX document of one image's lock, which `make sbom` writes. It is current if it names the packages of
the lock with their versions and hashes, and nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from bench.figures import ROOT
from bench.locks import Pin, image_locks, read

FOLDER = ROOT / "build" / "sbom"


def _packages(bill: dict[str, Any]) -> Iterator[Pin]:
    for component in bill.get("components", ()):
        hashes = frozenset(
            digest["content"]
            for reference in component.get("externalReferences", ())
            for digest in reference.get("hashes", ())
            if digest["alg"] == "SHA-256"
        )
        yield Pin(canonicalize_name(component["name"]), component["version"], hashes)


def differences(lock: Path, bill: Path) -> list[str]:
    """What a bill of materials has that its lock has not, and the other way round; one sentence each."""
    try:
        packages = set(_packages(json.loads(bill.read_text())))
    except FileNotFoundError:
        return [f"{bill.name} is not there; run `make sbom`"]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        return [f"{bill.name} is no CycloneDX document: {problem!r}"]
    pins = set(read(lock))
    lacks = [
        f"{bill.name} lacks {pin.name} {pin.version} as in {lock.name}; run `make sbom`" for pin in pins - packages
    ]
    more = [
        f"{bill.name} has {pin.name} {pin.version}, {lock.name} has not; run `make sbom`" for pin in packages - pins
    ]
    return sorted(lacks + more)


def main(folder: Path = FOLDER) -> int:
    """Compares all; returns 1 if one differs."""
    locks = image_locks()
    lines = [line for lock in locks for line in differences(lock, folder / f"{lock.stem}.json")]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if not lines:
        sys.stdout.write(f"{len(locks)} bills of materials in {folder} are those of their locks\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
