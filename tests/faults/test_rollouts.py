"""Rolling restarts of Tritons and orchestrators at load: the SDK sees no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rollouts import rollouts
from tests.faults.site import Plan, Site


@pytest.mark.full
@pytest.mark.promise("rollout")
async def test_rolling_restarts_fail_no_request(quick_repository: Path, tmp_path: Path) -> None:
    async with Site(Plan(quick_repository, tmp_path, 2, 2, stand_ins=True)) as site:
        report = await rollouts(site, 1)
    assert report.tally.failed == []
    assert report.tally.made > 0
