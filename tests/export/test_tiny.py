"""How the processes of a test run share the tiny exports."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.export.tiny import once, run_folder


def test_a_folder_is_written_once_and_not_waited_for_where_told_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    begun, finish, calls = threading.Event(), threading.Event(), list[Path]()

    def write(folder: Path) -> None:
        calls.append(folder)
        begun.set()
        assert finish.wait(30)
        folder.mkdir()

    other = threading.Thread(target=lambda: once(tmp_path_factory, "shared-once", write))
    other.start()
    assert begun.wait(30)
    assert once(tmp_path_factory, "shared-once", write, wait=False) is None
    finish.set()
    assert once(tmp_path_factory, "shared-once", write) == run_folder(tmp_path_factory) / "shared-once"
    other.join()
    assert calls == [run_folder(tmp_path_factory) / "shared-once"]
