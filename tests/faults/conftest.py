"""Sites that faults are tried on: of stand-ins for the short tests, of real Tritons for the full ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults import repository
from tests.faults.replicas import SETTINGS
from tests.faults.site import Plan, Site


@pytest.fixture(scope="session")
def quick_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that take milliseconds and no processor time."""
    return repository.write_quick(tmp_path_factory.mktemp("quick") / "repository")


@pytest.fixture(scope="session")
async def quick_site(quick_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """An orchestrator, a Redis, and two stand-ins for Triton."""
    plan = Plan(quick_repository, tmp_path_factory.mktemp("site"), settings=SETTINGS, stand_ins=True)
    async with Site(plan) as site:
        yield site


@pytest.fixture(scope="session")
async def reference_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """An orchestrator, a Redis, and two Tritons with the reference models."""
    folder = tmp_path_factory.mktemp("reference")
    async with Site(Plan(repository.write_reference(folder / "repository"), folder, settings=SETTINGS)) as site:
        yield site
