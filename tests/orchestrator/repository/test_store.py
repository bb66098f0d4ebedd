"""Publishing to a volume and waiting for it: all or nothing, and never another one under a name that is read."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from orchestrator.repository import RepositoryError, load, store
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
