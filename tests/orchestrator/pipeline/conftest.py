"""The pipeline that these tests run."""

from pathlib import Path

import pytest

from tests.orchestrator.pipeline.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A pipeline of its own for each test."""
    return Bench(tmp_path)
