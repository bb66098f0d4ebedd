"""Callers who leave cost at most the step that ran, and nothing of them stays."""

from __future__ import annotations

import pytest

from tests.faults import leavers
from tests.faults.site import Site


def expect_little(report: leavers.LeaverReport) -> None:
    """At most one step for each caller, and nothing afterwards."""
    assert report.most_rows <= 1
    assert report.remaining == 0, report


@pytest.mark.promise("cancels")
async def test_callers_who_leave_cost_a_step(quick_site: Site) -> None:
    expect_little(await leavers.leave(quick_site, 3 * leavers.GROUP))


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.promise("cancels")
async def test_a_thousand_callers_who_leave_cost_a_step_each(quick_site: Site) -> None:
    expect_little(await leavers.leave(quick_site, 1000))
