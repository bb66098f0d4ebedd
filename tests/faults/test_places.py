"""Full disks and clocks that jump."""

from __future__ import annotations

from pathlib import Path

import pytest

import backdrop
from tests.faults import places
from tests.faults.load import callers, options
from tests.faults.site import Plan, Site

pytestmark = pytest.mark.full
DAY_S = 86_400.0


async def make_pictures(site: Site, count: int = 3) -> None:
    """Makes some pictures, with a deadline each; raises what fails."""
    async with backdrop.AsyncClient(site.endpoints[0], retries=0) as client:
        for seed in range(count):
            assert (await client.generate(backdrop.TextToImage(), **options(seed))).pictures


@pytest.mark.promise("full-disk")
async def test_a_full_disk_under_the_log_fails_no_request(quick_repository: Path, tmp_path: Path) -> None:
    wrap = places.orchestrators(places.full_log)
    async with Site(Plan(quick_repository, tmp_path, 1, with_redis=False, wrap=wrap, stand_ins=True)) as site:
        await make_pictures(site)


@pytest.mark.promise("full-disk")
async def test_full_shared_memory_fails_no_request(quick_repository: Path, tmp_path: Path) -> None:
    if not places.can_mount():
        pytest.skip("this process may not mount a small /dev/shm (unshare -m)")
    wrap = places.orchestrators(places.full_shared_memory)
    async with Site(Plan(quick_repository, tmp_path, 1, with_redis=False, wrap=wrap, stand_ins=True)) as site:
        await make_pictures(site)
        assert [line["level"] for line in site.events() if line["event"] == "no shared memory"] == ["warning"]


@pytest.mark.promise("clock")
async def test_a_clock_that_jumps_fails_no_request(quick_repository: Path, tmp_path: Path) -> None:
    library = places.faketime()
    if library is None:
        pytest.skip("Debian's libfaketime is not installed")
    clock = places.Clock(tmp_path, library)
    plan = Plan(quick_repository, tmp_path, 1, wrap=places.orchestrators(clock.wrap), stand_ins=True)
    async with Site(plan) as site, callers(site.endpoints, 2) as tally:
        for offset_s in (DAY_S, -DAY_S, 365 * DAY_S, 0.0):
            clock.jump(offset_s)
            await make_pictures(site)
    assert tally.failed == []
