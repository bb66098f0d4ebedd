"""The local share: its bucket refills by time, and what was not done comes back."""

from __future__ import annotations

import pytest

from orchestrator.quotas.limits import CONCURRENT, WORK, Limits
from orchestrator.quotas.local import LocalShare

LIMITS = Limits(2, 60.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_running_requests_are_bounded() -> None:
    share = LocalShare(Clock())
    assert share.take("a", 1, 1.0, LIMITS) == ("", 0.0)
    assert share.take("a", 2, 1.0, LIMITS) == (CONCURRENT, 0.0)


def test_work_refills_continuously_and_says_when_there_is_enough() -> None:
    clock = Clock()
    share = LocalShare(clock)
    assert share.take("a", 0, 50.0, LIMITS) == ("", 0.0)
    name, retry_after_s = share.take("a", 0, 20.0, LIMITS)
    assert (name, retry_after_s) == (WORK, pytest.approx(10.0))
    assert share.take("b", 0, 20.0, LIMITS) == ("", 0.0), "another tenant has its own"
    clock.now += retry_after_s
    assert share.take("a", 0, 20.0, LIMITS) == ("", 0.0)
    assert share.spent("a", LIMITS) == pytest.approx(60.0)
    clock.now += 600.0
    assert share.spent("a", LIMITS) == 0.0, "an idle tenant has one minute's work, not ten"


def test_a_request_above_a_minutes_work_needs_a_full_bucket_and_leaves_a_debt() -> None:
    clock = Clock()
    share = LocalShare(clock)
    assert share.take("a", 0, 180.0, LIMITS) == ("", 0.0)
    assert share.take("a", 0, 1.0, LIMITS) == (WORK, pytest.approx(121.0))
    share.give("a", 150.0, LIMITS)
    assert share.take("a", 0, 30.0, LIMITS) == ("", 0.0)
