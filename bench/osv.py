"""`python -m bench.osv FILE`: compares the locks with an OSV database of PyPI, a zip of JSON files on this machine.

OSV publishes it as https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip. The rules are those of the OSV
schema, "Evaluation": a version is affected if it is listed, or if the events of a range, in order, say so.
Withdrawn advisories do not count. Exit status: 1 if a package of a lock is affected, 2 if the file is no database.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bench.figures import ROOT
from bench.locks import Pin, locks, read

SKIPPED = (
    "Known vulnerabilities were not checked: no OSV database. Get "
    "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip and run `make audit OSV=FILE`."
)
KINDS = ("introduced", "fixed", "last_affected")
_FIRST = Version("0.dev0")


class DatabaseError(Exception):
    """The file is no OSV database; the message names it."""


@dataclass(frozen=True)
class Advisory:
    """What one JSON file says of one package."""

    id: str
    aliases: tuple[str, ...]
    summary: str
    ranges: tuple[tuple[tuple[str, str], ...], ...]
    """Of each range its events: introduced, fixed or last_affected, and a version."""
    versions: frozenset[str]

    def affects(self, version: str) -> bool:
        """Whether a version is affected. One that cannot be compared with a range is, so that somebody looks."""
        here = _version(version)
        if any(here == _version(listed) if here else version == listed for listed in self.versions):
            return True
        return any(_includes(events, here) for events in self.ranges)


@dataclass(frozen=True)
class Database:
    """The advisories of PyPI, by package."""

    advisories: Mapping[str, tuple[Advisory, ...]]
    modified: str
    """When the newest advisory was changed, as RFC 3339."""

    @classmethod
    def read(cls, file: Path) -> Database:
        """Reads a zip of OSV.

        Raises:
            DatabaseError: the file cannot be read, is no zip, or has no advisory of PyPI.
        """
        advisories, modified = dict[str, list[Advisory]](), ""
        try:
            with zipfile.ZipFile(file) as archive:
                for name in archive.namelist():
                    if not name.endswith(".json"):
                        continue
                    entry = json.loads(archive.read(name))
                    modified = max(modified, entry["modified"])
                    for package, advisory in _advisories(entry):
                        advisories.setdefault(package, []).append(advisory)
        except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DatabaseError(f"{file} is no zip of OSV advisories: {problem!r}") from None
        if not advisories:
            raise DatabaseError(f"{file} has no advisory of PyPI")
        return cls({package: tuple(entries) for package, entries in advisories.items()}, modified)

    def affecting(self, pin: Pin) -> list[Advisory]:
        """The advisories that affect a package of a lock."""
        return [advisory for advisory in self.advisories.get(pin.name, ()) if advisory.affects(pin.version)]


def _advisories(entry: Mapping[str, Any]) -> Iterator[tuple[str, Advisory]]:
    if entry.get("withdrawn"):
        return
    for affected in entry.get("affected", ()):
        package = affected.get("package", {})
        if package.get("ecosystem") != "PyPI":
            continue
        ranges = tuple(
            tuple((kind, version) for event in each["events"] for kind, version in event.items() if kind in KINDS)
            for each in affected.get("ranges", ())
            if each["type"] in ("ECOSYSTEM", "SEMVER")  # the others are commits of git
        )
        summary = entry.get("summary") or entry.get("details", "").partition("\n")[0]
        versions, aliases = frozenset(affected.get("versions", ())), tuple(entry.get("aliases", ()))
        yield canonicalize_name(package["name"]), Advisory(entry["id"], aliases, summary, ranges, versions)


def _includes(events: Iterable[tuple[str, str]], version: Version | None) -> bool:
    """Whether the events of a range make a version an affected one."""
    if version is None:
        return True
    compared = list[tuple[Version, int]]()
    for kind, text in events:
        at = _FIRST if text == "0" else _version(text)
        if at is None:
            return True
        # At one version, what is introduced counts before what is fixed.
        compared.append((at, KINDS.index(kind)))
    affected = False
    for at, number in sorted(compared):
        if KINDS[number] == "introduced":
            affected = affected or version >= at
        elif KINDS[number] == "fixed":
            affected = affected and version < at
        else:
            affected = affected and version <= at
    return affected


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def report(database: Database, files: Iterable[Path]) -> list[str]:
    """One line for each affected package of each lock."""
    return [
        f"{file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}: {pin.name} {pin.version}: "
        f"{', '.join((advisory.id, *advisory.aliases))}: {advisory.summary}"
        for file in files
        for pin in read(file)
        for advisory in database.affecting(pin)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Prints what is affected; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.osv", description="Checks the locks for vulnerabilities.")
    parser.add_argument("database", nargs="?", default="", metavar="FILE", help="all.zip of OSV's PyPI; none: skip")
    parser.add_argument("--lock", type=Path, action="append", metavar="FILE", help="(default: all locks)")
    options = parser.parse_args(arguments)
    if not options.database:
        sys.stdout.write(f"{SKIPPED}\n")
        return 0
    try:
        database = Database.read(Path(options.database))
    except DatabaseError as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    files = options.lock or locks()
    lines, pins = report(database, files), {(pin.name, pin.version) for file in files for pin in read(file)}
    entries = len({advisory.id for advisories in database.advisories.values() for advisory in advisories})
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.write(
        f"{len(pins)} packages in {len(files)} locks, {entries} advisories up to {database.modified}: "
        f"{len(lines)} affected\n"
    )
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
