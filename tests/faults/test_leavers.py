"""Callers who leave cost at most the step that ran, and nothing of them stays."""

from __future__ import annotations

import pytest

from tests.faults import leavers
from tests.faults.site import Site

_ROUNDS = 3


async def expect_little(site: Site, count: int) -> None:
    """At most one step for each caller, and nothing afterwards.

    Pools of connections grow to their level by chance, so a round may end with one more. A leak grows in every round.
    """
    for _ in range(_ROUNDS):
        report = await leavers.leave(site, count)
        assert report.most_rows <= 1
        if report.remaining == 0:
            return
    pytest.fail(f"something stays in each of {_ROUNDS} rounds: {report}")


@pytest.mark.promise("cancels")
async def test_callers_who_leave_cost_a_step(quick_site: Site) -> None:
    await expect_little(quick_site, 3 * leavers.GROUP)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.promise("cancels")
async def test_a_thousand_callers_who_leave_cost_a_step_each(quick_site: Site) -> None:
    await expect_little(quick_site, 1000)
