"""Requests succeed whatever Redis does, and it is used again afterwards."""

from __future__ import annotations

import pytest

from tests.faults import shared_cache
from tests.faults.site import Site
from tests.patience import PATIENCE_S

SHORT = ("killed", "filled with garbage")


@pytest.mark.promise("redis")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SHORT else pytest.mark.full) for name in shared_cache.FAULTS]
)
async def test_no_request_fails_and_the_breaker_closes_again(quick_site: Site, name: str) -> None:
    report = await shared_cache.disturbed(quick_site, shared_cache.FAULTS[name], 4)
    assert report.failed == []
    assert report.made == 4
    assert report.back_s < PATIENCE_S
