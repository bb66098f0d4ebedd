"""`python -m orchestrator.repository.store`: publishes a model repository to a shared volume, and checks one there.

publish   copies a repository from a folder or an object store to the volume; the copy gets its name only after
          every file was checked against its digest
check     waits until a repository is there, then checks every file against its digest
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from orchestrator.repository import PIPELINES, RepositoryError, load, objects

_LOOK_EVERY_S = 1.0


def publish(source: str, target: Path) -> str:
    """Copies `source`, a folder or the URL of an object store, to `target`; returns a sentence on what was done.

    An equal repository at `target` is kept as it is.

    Raises:
        RepositoryError: the source is incomplete, the copy differs, or `target` is another repository.
    """
    document = objects.read_document(source) if objects.is_url(source) else _document_of(Path(source))
    if target.exists():
        if (target / PIPELINES).read_bytes() != document:
            # Pods may be reading it: a published repository never changes, a new one gets a new name.
            raise RepositoryError(f"{target} holds another repository; publish under a new name")
        load(target)
        return f"{target} is there already"
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    if objects.is_url(source):
        partial.mkdir(parents=True)
        objects.download(source, document, partial)
    else:
        shutil.copytree(source, partial)
    load(partial)
    partial.replace(target)
    return f"published {target}"


def _document_of(source: Path) -> bytes:
    load(source)
    return (source / PIPELINES).read_bytes()


def check(path: Path, wait_s: float) -> str:
    """Waits for a repository and verifies it; returns a sentence with its number of pipelines.

    Raises:
        RepositoryError: it is not there in time, or a file is missing or has another digest.
    """
    deadline = time.monotonic() + wait_s
    while not (path / PIPELINES).is_file():
        if time.monotonic() > deadline:
            raise RepositoryError(f"{path / PIPELINES} is not there after {wait_s:g} s; has the Job published it?")
        time.sleep(_LOOK_EVERY_S)
    return f"{path}: {len(load(path).pipelines)} pipelines, every digest as listed"


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.repository.store", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    publishing = steps.add_parser("publish", help="copy a repository to the volume")
    publishing.add_argument("--from", dest="source", required=True, metavar="FOLDER|URL")
    publishing.add_argument("--to", dest="target", type=Path, required=True, metavar="FOLDER")
    checking = steps.add_parser("check", help="wait for a repository and verify it")
    checking.add_argument("--at", type=Path, required=True, metavar="FOLDER")
    checking.add_argument("--wait-s", type=float, default=0.0, metavar="S")
    options = parser.parse_args(arguments)
    try:
        said = (
            publish(options.source, options.target) if options.step == "publish" else check(options.at, options.wait_s)
        )
    except (RepositoryError, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
