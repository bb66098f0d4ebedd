"""Repositories for the tests of the local cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export import tiny
from tests.local import small


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Waits longer for what exports first."""
    tiny.allow_time(items)


@pytest.fixture(scope="session")
def double_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one model that doubles; loads in no time."""
    return small.write_repository(tmp_path_factory.mktemp("double"))


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole pipeline with hardly any weights."""
    return tiny.repository(tmp_path_factory)
