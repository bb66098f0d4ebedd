"""Publishing to a volume and waiting for it: all or nothing, and never another one under a name that is read."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from orchestrator.repository import PublicKeys, RepositoryError, load, load_published, store
from orchestrator.repository.published import MARK
from tests.k8s.large import opened_below
from tests.orchestrator.repository.test_repository import document, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    write(folder, document(folder))
    return folder


def test_publishing_is_whole_and_may_be_repeated(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "store" / "repository"
    target.parent.mkdir()
    assert store.main(["publish", "--from", str(source), "--to", str(target)]) == 0
    assert load(target).pipelines.keys() == load(source).pipelines.keys()
    assert store.main(["publish", "--from", str(source), "--to", str(target)]) == 0
    assert [file.name for file in target.parent.iterdir()] == ["repository"]


def test_another_repository_never_takes_the_name(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "repository"
    store.publish(str(source), target)
    file = source / "pipeline.json"
    file.write_text(file.read_text() + "\n")
    before = (target / "pipeline.json").read_bytes()
    assert store.main(["publish", "--from", str(source), "--to", str(target)]) == 1
    assert "publish under a new name" in capsys.readouterr().err
    assert (target / "pipeline.json").read_bytes() == before


def test_a_damaged_file_is_named(source: Path) -> None:
    (source / "denoiser" / "1" / "model.onnx").write_bytes(b"y")
    with pytest.raises(RepositoryError, match=r"denoiser/1/model\.onnx has sha256:"):
        store.check(source, 0)


def test_check_waits_until_it_is_published(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOOK_EVERY_S", 0.02)
    target = tmp_path / "repository"
    later = threading.Timer(0.2, store.publish, (str(source), target))
    began = time.monotonic()
    later.start()
    assert "pipelines" in store.check(target, 30)
    assert time.monotonic() - began >= 0.2


def test_check_gives_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert store.main(["check", "--at", str(tmp_path), "--wait-s", "0"]) == 1
    assert "has the Job published it?" in capsys.readouterr().err


@pytest.fixture
def published(source: Path, tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    store.publish(str(source), tmp_path / "store" / "repository")
    return tmp_path / "store" / "repository"


def test_a_published_repository_is_not_read_again(published: Path) -> None:
    with opened_below(published) as files:
        assert "as published" in store.check(published, 0)
    assert {file.name for file in files} == {"pipeline.json", MARK}


def test_a_file_that_was_cut_short_after_publishing_is_named(published: Path) -> None:
    (published / "denoiser" / "1" / "model.onnx").write_bytes(b"")
    with pytest.raises(RepositoryError, match=r"denoiser/1/model\.onnx has 0 bytes, and had \d+ when it was published"):
        store.check(published, 0)


def test_a_mark_is_of_one_document(published: Path) -> None:
    file = published / "pipeline.json"
    file.write_text(file.read_text() + "\n")
    with pytest.raises(RepositoryError, match=r"published\.json is of another pipeline\.json"):
        load(published)


def test_every_digest_can_be_checked_again(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = published / "denoiser" / "1" / "model.onnx"
    file.write_bytes(bytes(file.stat().st_size))
    assert store.main(["check", "--at", str(published)]) == 0
    assert store.main(["check", "--at", str(published), "--digests"]) == 1
    assert "model.onnx has sha256:" in capsys.readouterr().err


def test_a_repository_of_an_earlier_release_gets_its_mark(published: Path, source: Path) -> None:
    (published / MARK).unlink()
    assert store.publish(str(source), published) == f"{published} is there already"
    assert (published / MARK).is_file()


def test_publishers_with_one_process_number_do_not_share_a_folder(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    target, copies, mark = tmp_path / "repository", list[Path](), store._mark

    def marked(path: Path, keys: PublicKeys | None) -> None:
        copies.append(path)
        if len(copies) == 1:
            store.publish(str(source), target)  # the pod of a retry is faster
        mark(path, keys)

    monkeypatch.setattr(store, "_mark", marked)
    assert store.publish(str(source), target) == f"{target} is there already"
    assert len(set(copies)) == 2
    assert "pipelines" in store.check(target, 0)
    assert not any(path.exists() for path in copies)


def test_old_repositories_are_removed(source: Path, tmp_path: Path) -> None:
    volume = tmp_path / "store"
    for folder in ("engines", ".repository.0.partial", ".repository.1.partial"):
        (volume / folder).mkdir(parents=True)
    os.utime(volume / ".repository.0.partial", (0, 0))
    for number in range(1, 5):
        target = volume / f"repository-{number}"
        assert store.main(["publish", "--from", str(source), "--to", str(target), "--keep", "2"]) == 0
        os.utime(target / MARK, (number, number))
    left = {path.name for path in volume.iterdir()}
    assert left == {"engines", ".repository.1.partial", "repository-3", "repository-4"}


def test_a_volume_that_is_not_ours_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def denied(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert store.main(["publish", "--from", str(source), "--to", str(tmp_path / "repository")]) == 1
    assert "driver ignores fsGroup" in capsys.readouterr().err


async def test_the_orchestrator_waits_for_the_folder(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "repository"
    threading.Timer(0.2, store.publish, (str(source), target)).start()
    assert (await load_published(target, 30)).path == target
    with pytest.raises(RepositoryError, match="is not there"):
        await load_published(tmp_path / "nothing", 0)
