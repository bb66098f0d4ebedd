"""Renderings that the tests of the manifests share."""

from __future__ import annotations

import pytest

from tests.conftest import run_folder
from tests.k8s import rendering


@pytest.fixture(scope="session", autouse=True)
def shared_renderings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Renders each kustomization once in a test run, whichever process needs it."""
    rendering.share(run_folder(tmp_path_factory) / "renderings")
