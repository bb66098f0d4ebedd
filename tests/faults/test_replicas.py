"""Tritons that are killed, stopped and cut off in the middle of pictures: no request fails, no byte changes."""

from __future__ import annotations

import pytest

from tests.faults import replicas
from tests.faults.replicas import STEP_TIMEOUT_S, ReplicaReport
from tests.faults.site import Site


def expect_unharmed(report: ReplicaReport) -> None:
    """Nothing failed, nothing changed, and no request made more than one step again for one fault."""
    assert report.tally.failed == []
    assert report.tally.differing == 0
    assert report.tally.made > 0
    assert report.redone <= 1


@pytest.mark.promise("replica-killed")
async def test_a_killed_replica_costs_a_step(quick_site: Site) -> None:
    expect_unharmed(await replicas.kills(quick_site, 1))


@pytest.mark.promise("replica-hangs")
async def test_a_stopped_replica_is_out_in_time_and_comes_back(quick_site: Site) -> None:
    report = await replicas.hangs(quick_site, 1, stopped_s=0.0)
    expect_unharmed(report)
    assert report.out_s[0] <= 4.0, "2 s on a machine that has nothing else to do"
    assert report.added_s <= 1.1 * STEP_TIMEOUT_S


@pytest.mark.full
@pytest.mark.promise("replica-hangs")
async def test_a_half_open_link_is_connected_anew(quick_site: Site) -> None:
    expect_unharmed(await replicas.half_open(quick_site, 1))


@pytest.mark.full
@pytest.mark.promise("replica-killed")
async def test_links_that_are_reset_or_spoiled_cost_a_step(quick_site: Site) -> None:
    expect_unharmed(await replicas.resets(quick_site, 3))
    expect_unharmed(await replicas.garbage(quick_site, 3))


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.promise("replica-killed")
async def test_killed_tritons_change_no_byte_of_the_reference_models(reference_site: Site) -> None:
    expect_unharmed(await replicas.kills(reference_site, 4))


@pytest.mark.full
@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.promise("replica-hangs")
async def test_stopped_tritons_change_no_byte_of_the_reference_models(reference_site: Site) -> None:
    report = await replicas.hangs(reference_site, 4)
    expect_unharmed(report)
    assert report.added_s <= 1.1 * STEP_TIMEOUT_S
