"""`python -m orchestrator.repository.store`: publishes a model repository to a shared volume, and checks one there.

publish   copies a repository from a folder or an object store to the volume; the copy gets its name and its mark only
          after every file was checked against its digest
check     waits until a repository is there, then checks it by its mark; with --digests, reads every file

With --keys, both refuse a repository whose pipeline.json is not signed by one of the keys, before they copy a file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from orchestrator.repository import PIPELINES, RepositoryError, load, objects, published
from orchestrator.repository.signed import SIGNATURE, PublicKeys, read_signature

_LOOK_EVERY_S = 1.0
_PARTIAL = ".partial"
_DAY_S = 86_400


@dataclass(frozen=True)
class _Listing:
    """What a repository lists, and who signed that."""

    document: bytes
    """Of pipeline.json."""
    signature: bytes | None


def publish(source: str, target: Path, keys: PublicKeys | None = None) -> str:
    """Copies `source`, a folder or the URL of an object store, to `target`; returns a sentence on what was done.

    An equal repository at `target` is kept as it is; if it has no mark, its digests are checked and it gets one. It
    takes over the signature of the source, which may be of a newer key.

    Raises:
        RepositoryError: the source is incomplete or not signed by one of `keys`, the copy differs, `target` is another
            repository, or its volume cannot be written.
    """
    listing = _listing_of_url(source, keys) if objects.is_url(source) else _listing_of_folder(Path(source), keys)
    if target.exists():
        return _keep(target, listing, keys)
    # A unique name: the process number is 1 in every container, and the pod of a retry may start before the first ends.
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{_PARTIAL}")
    try:
        partial.mkdir()
    except PermissionError:
        raise RepositoryError(
            f"{target.parent} cannot be written: its volume's driver ignores fsGroup, so the StorageClass must give it "
            "to this user (docs/operations.md, Storage)"
        ) from None
    if objects.is_url(source):
        objects.download(source, listing.document, partial)
    else:
        shutil.copytree(source, partial, dirs_exist_ok=True)
    _take_signature(partial, listing)
    _mark(partial, keys)
    try:
        partial.replace(target)
    except OSError:
        if not target.exists():
            raise
        # Another publisher was faster.
        shutil.rmtree(partial)
        return _keep(target, listing, keys)
    return f"published {target}"


def _keep(target: Path, listing: _Listing, keys: PublicKeys | None) -> str:
    if (target / PIPELINES).read_bytes() != listing.document:
        # Pods may be reading it: a published repository never changes, a new one gets a new name.
        raise RepositoryError(f"{target} holds another repository; publish under a new name")
    _take_signature(target, listing)
    if published.is_published(target):
        load(target, keys=keys)
    else:
        _mark(target, keys)
    return f"{target} is there already"


def _take_signature(target: Path, listing: _Listing) -> None:
    """Puts the source's signature beside an equal pipeline.json. In one move, because pods may be reading it."""
    if listing.signature is None or read_signature(target) == listing.signature:
        return
    partial = target / f".{SIGNATURE}.{uuid.uuid4().hex}{_PARTIAL}"
    partial.write_bytes(listing.signature)
    partial.replace(target / SIGNATURE)


def _mark(path: Path, keys: PublicKeys | None) -> None:
    load(path, verify="digests", keys=keys)
    published.write_mark(path, published.files_of(json.loads((path / PIPELINES).read_text())))


def _listing_of_url(source: str, keys: PublicKeys | None) -> _Listing:
    listing = _Listing(objects.read_document(source), objects.read_signature(source))
    if keys is not None:
        keys.expect_signed(listing.document, listing.signature, source)
    return listing


def _listing_of_folder(source: Path, keys: PublicKeys | None) -> _Listing:
    # Its files are read once, when they are copied.
    load(source, verify="nothing", keys=keys)
    return _Listing((source / PIPELINES).read_bytes(), read_signature(source))


def collect(keep: Path, count: int) -> list[Path]:
    """Removes old repositories beside `keep`, and what stopped publishers left; returns the removed folders.

    Args:
        keep: A published repository.
        count: How many stay, `keep` among them; the others are those published last.
    """
    beside = [path for path in keep.parent.iterdir() if published.is_published(path) and path != keep]
    beside = [path for path in beside if not path.name.endswith(_PARTIAL)]
    oldest = sorted(beside, key=lambda path: (path / published.MARK).stat().st_mtime)[: max(0, len(beside) + 1 - count)]
    stopped = [
        path
        for path in keep.parent.iterdir()
        if path.name.endswith(_PARTIAL) and time.time() - path.stat().st_mtime > _DAY_S
    ]
    for path in (*oldest, *stopped):
        shutil.rmtree(path)
    return [*oldest, *stopped]


def check(path: Path, wait_s: float, *, digests: bool = False, keys: PublicKeys | None = None) -> str:
    """Waits for a repository and verifies it; returns a sentence with its number of pipelines.

    Args:
        digests: Whether to read every file of a marked repository too.
        keys: Whose signatures of pipeline.json are taken; None to ask for none.

    Raises:
        RepositoryError: it is not there in time or not signed, or a file is missing or has another size or digest.
    """
    deadline = time.monotonic() + wait_s
    while not (path / PIPELINES).is_file():
        if time.monotonic() > deadline:
            raise RepositoryError(f"{path / PIPELINES} is not there after {wait_s:g} s; has the Job published it?")
        time.sleep(_LOOK_EVERY_S)
    repository = load(path, verify="digests" if digests else "mark", keys=keys)
    by_mark = published.is_published(path) and not digests
    sentence = (
        f"{path}: {len(repository.pipelines)} pipelines, {'as published' if by_mark else 'every digest as listed'}"
    )
    return f"{sentence}, {repository.signature}" if repository.signature else sentence


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; returns 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.repository.store", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    publishing = steps.add_parser("publish", help="copy a repository to the volume")
    publishing.add_argument("--from", dest="source", required=True, metavar="FOLDER|URL")
    publishing.add_argument("--to", dest="target", type=Path, required=True, metavar="FOLDER")
    publishing.add_argument("--keep", type=int, metavar="N", help="remove all but the N repositories published last")
    checking = steps.add_parser("check", help="wait for a repository and verify it")
    checking.add_argument("--at", type=Path, required=True, metavar="FOLDER")
    checking.add_argument("--wait-s", type=float, default=0.0, metavar="S")
    checking.add_argument("--digests", action="store_true", help="read every file, although the repository has a mark")
    for step in (publishing, checking):
        step.add_argument("--keys", type=Path, metavar="FILE", help="public keys of minisign; one must have signed it")
    options = parser.parse_args(arguments)
    try:
        keys = None if options.keys is None else PublicKeys.read(options.keys)
        if options.step == "check":
            said = [check(options.at, options.wait_s, digests=options.digests, keys=keys)]
        else:
            said = [publish(options.source, options.target, keys)]
            if options.keep is not None:
                said += [f"removed {path}" for path in collect(options.target, max(1, options.keep))]
    except (RepositoryError, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.writelines(f"{sentence}\n" for sentence in said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
