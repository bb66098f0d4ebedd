"""Fair shares: the name with the smallest tag is next, and idle names have no credit."""

from __future__ import annotations

from orchestrator.scheduling.fair_share import FairShare


def test_the_share_of_a_name_is_inverse_to_its_cost() -> None:
    share, counts = FairShare(), {"cheap": 0, "dear": 0}
    for _ in range(400):
        name = min(counts, key=share.tag)
        share.charge(name, 1.0 if name == "cheap" else 3.0)
        counts[name] += 1
    assert counts == {"cheap": 300, "dear": 100}


def test_a_name_that_was_idle_comes_back_level() -> None:
    share = FairShare()
    for _ in range(10):
        share.charge("busy", 1.0)
    assert share.tag("idle") == 9.0, "where the latest service began"
    share.charge("idle", 1.0)
    assert share.tag("idle") == share.tag("busy") == 10.0


def test_a_copy_is_independent() -> None:
    share = FairShare()
    share.charge("a", 1.0)
    copy = share.copy()
    copy.charge("a", 5.0)
    assert (share.tag("a"), copy.tag("a")) == (1.0, 6.0)
