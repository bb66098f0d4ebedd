"""The check of the locks against an OSV database: ranges, listed versions, names, and what is skipped in words."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bench import osv
from bench.locks import Pin, locks, read

RANGE = [{"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0rc1"}, {"last_affected": "2.3"}]


def advisory(name: str = "Some_Package", events: list[dict[str, str]] | None = None, **more: Any) -> dict[str, Any]:
    affected: dict[str, Any] = {"package": {"ecosystem": "PyPI", "name": name}, "versions": more.pop("versions", [])}
    if events is not None:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": events}, {"type": "GIT", "events": [{"introduced": "0"}]}]
    entry = {"id": "GHSA-1", "aliases": ["CVE-2026-1"], "summary": "a hole", "modified": "2026-11-20T00:00:00Z"}
    return entry | {"affected": [affected]} | more


def database(folder: Path, *entries: dict[str, Any]) -> Path:
    """A zip as OSV publishes it."""
    file = folder / "all.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number, entry in enumerate(entries):
            archive.writestr(f"GHSA-{number}.json", json.dumps(entry))
    return file


def lock(folder: Path, *pins: str) -> Path:
    file = folder / "lock.txt"
    file.write_text("".join(f"{pin} \\\n    --hash=sha256:{'0' * 64}\n" for pin in pins))
    return file


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("0.0.1.dev1", True), ("1.1.9", True), ("1.2", False), ("1.2.0.post1", False), ("1.9", False),
        ("2.0rc1", True), ("2.0", True), ("2.3", True), ("2.3.1", False), ("2.10", False),
    ],
)  # fmt: skip
def test_ranges_follow_the_order_of_versions(tmp_path: Path, version: str, affected: bool) -> None:
    # The order of the events in the file has no meaning.
    entries = osv.Database.read(database(tmp_path, advisory(events=RANGE[::-1])))
    assert bool(entries.affecting(Pin("some-package", version, frozenset()))) is affected


def test_listed_versions_count_in_any_spelling(tmp_path: Path) -> None:
    entries = osv.Database.read(database(tmp_path, advisory(versions=["1.0.0", "not-a-version"])))
    assert [bool(entries.affecting(Pin("some-package", version, frozenset()))) for version in ("1.0", "1.1")] == [
        True,
        False,
    ]


def test_a_range_that_cannot_be_compared_is_shown(tmp_path: Path) -> None:
    entries = osv.Database.read(database(tmp_path, advisory(events=[{"introduced": "bulbasaur"}])))
    assert entries.affecting(Pin("some-package", "1.0", frozenset()))


def test_what_is_affected_is_named_and_ends_in_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = database(tmp_path, advisory(events=RANGE), advisory("other", RANGE, id="GHSA-2", aliases=[]))
    arguments = [str(file), "--lock", str(lock(tmp_path, "some.package==1.1", "another==1.1", "other==1.2"))]
    assert osv.main(arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("lock.txt: some-package 1.1: GHSA-1, CVE-2026-1: a hole")
    assert lines[1:] == ["3 packages in 1 locks, 2 advisories up to 2026-11-20T00:00:00Z: 1 affected"]


def test_withdrawn_advisories_and_other_ecosystems_do_not_count(tmp_path: Path) -> None:
    foreign = advisory("some-package", RANGE)
    foreign["affected"][0]["package"]["ecosystem"] = "npm"
    withdrawn = advisory("some-package", RANGE, withdrawn="2026-11-21T00:00:00Z")
    file = database(tmp_path, foreign, withdrawn, advisory("other", RANGE))
    assert osv.main([str(file), "--lock", str(lock(tmp_path, "some-package==1.1"))]) == 0


def test_without_a_database_it_says_what_was_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert osv.main([""]) == 0
    assert "were not checked: no OSV database" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_a_file_that_is_no_database_is_a_failure(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.zip"
    if content is not None:
        file.write_bytes(content)
    assert osv.main([str(file)]) == 2
    assert "all.zip is no zip of OSV advisories" in capsys.readouterr().err
    database(tmp_path)
    assert osv.main([str(file)]) == 2


def test_every_lock_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pin = next(pin for file in locks() if file.name == "torch.txt" for pin in read(file))
    file = database(tmp_path, advisory("torch", [{"introduced": "0"}]), advisory("uvloop", [{"introduced": "0"}]))
    assert osv.main([str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    places = {line.partition(":")[0] for line in lines[:-1]}
    assert {"locks/torch.txt", "locks/local.txt", "locks/dev.txt", "k8s/images/orchestrator.txt"} == places
    assert any(f"torch {pin.version}" in line for line in lines)
