"""Three times as many requests as can be served: most of the capacity is used, and refusals say when to come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.overload import SETTINGS, overload
from tests.faults.site import Plan, Site


@pytest.mark.full
@pytest.mark.promise("overload")
async def test_overload_leaves_goodput_and_refuses_fast(quick_repository: Path, tmp_path: Path) -> None:
    async with Site(Plan(quick_repository, tmp_path, 1, settings=SETTINGS, stand_ins=True)) as site:
        report = await overload(site, 15)
    assert (report.failed, report.silent) == ([], 0)
    assert len(report.refused_ms) > 10
    # The marks are 0.9 and 50 ms, on a machine of its own and over minutes.
    assert report.share > 0.5
    assert report.p99_ms < 5_000
