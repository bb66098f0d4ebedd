"""The marks of shares and keys, each measured small: they find what they count, and nothing is lost or done twice."""

from __future__ import annotations

import pytest

from bench import reliability_keys, reliability_shares
from bench.reliability_shares import Answers
from orchestrator.quotas.limits import CONCURRENT, WORK

pytestmark = [pytest.mark.full, pytest.mark.cluster]


def test_the_percentile_is_of_the_requests_that_were_made() -> None:
    assert Answers(seconds=[float(number) for number in range(100, 0, -1)]).p99 == 99.0
    assert Answers(seconds=[2.0]).p99 == 2.0


async def test_a_loud_tenant_is_refused_and_the_others_are_not() -> None:
    alone, beside, flood = await reliability_shares.measure(seconds=15.0, warm_s=20.0)
    assert len(beside.seconds) > len(alone.seconds) / 2 > 10
    # On a busy machine requests take so long that some of the others have too many at once.
    assert sum(beside.refusals.values()) < len(beside.seconds)
    assert set(flood.refusals) <= {CONCURRENT, WORK}
    assert sum(flood.refusals.values()) > len(flood.seconds)


async def test_kills_of_orchestrators_lose_nothing_and_do_nothing_twice() -> None:
    outcome, finished = await reliability_keys.measure(kills=2)
    assert outcome.answered
    assert not outcome.lost
    assert outcome.retried, "the kills met requests"
    assert outcome.answered <= finished.keys()
    assert set(finished.values()) == {1}
