"""A tiny pipeline folder and its export, made once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export import tiny


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Waits longer for what exports first."""
    tiny.allow_time(items)


@pytest.fixture(scope="session")
def tiny_pipelines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tiny pipeline folders; read only."""
    return tiny.pipelines(tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_pipelines: Path) -> Path:
    """A diffusers folder with every component of the first pipeline; read only."""
    return tiny_pipelines / "tiny"


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Triton repository exported from them; read only."""
    return tiny.repository(tmp_path_factory)


@pytest.fixture(scope="session")
def half_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with `tiny.SMALL_ONES` in fp16; read only."""
    return tiny.half_repository(tmp_path_factory)


@pytest.fixture(scope="session")
def whole_half_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every model in fp16; read only."""
    return tiny.whole_half_repository(tmp_path_factory)
