"""The fair queue: shares of classes and tenants, small requests first, and no request waits for ever."""

from __future__ import annotations

import collections
import dataclasses
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.scheduling import FairQueue, Priority, ScheduledRequest
from orchestrator.scheduling.fair_queue import OLDEST_EVERY_TIGHT
from orchestrator.scheduling.priority import WEIGHTS


@dataclasses.dataclass(eq=False)
class Item:
    """A step that waits."""

    request: ScheduledRequest
    cost: float = 1.0


def served(queue: FairQueue[Item], turns: int) -> list[Item]:
    """Serves so many entries; each comes back at once, as a request with many steps does."""
    entries = []
    for _ in range(turns):
        item = queue.first()
        assert item is not None
        queue.serve(item, item.cost)
        queue.push(item)
        entries.append(item)
    return entries


def of(*requests: ScheduledRequest, cost: float = 1.0) -> FairQueue[Item]:
    """A queue in which each of these waits with one step."""
    queue: FairQueue[Item] = FairQueue()
    for request in requests:
        queue.push(Item(request, cost))
    return queue


def test_classes_share_by_weight_while_each_has_something_to_do() -> None:
    queue = of(*(ScheduledRequest("a", priority, 100.0) for priority in Priority))
    counts = collections.Counter(item.request.priority for item in served(queue, 420))
    assert counts == {priority: 20 * weight for priority, weight in WEIGHTS.items()}


def test_a_class_that_comes_back_is_served_at_once_and_has_saved_nothing_up() -> None:
    queue = of(ScheduledRequest("a", Priority.BULK, 100.0))
    served(queue, 50)
    late = Item(ScheduledRequest("b", Priority.INTERACTIVE, 1.0))
    queue.push(late)
    assert late in served(queue, 2)
    counts = collections.Counter(item.request.priority for item in served(queue, 170))
    assert counts[Priority.BULK] == 10


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    costs=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=4, max_size=4),
)
def test_tenants_share_work_equally_however_much_each_sends(requests: list[int], costs: list[float]) -> None:
    queue: FairQueue[Item] = FairQueue()
    for tenant, count in enumerate(requests):
        for _ in range(count):
            queue.push(Item(ScheduledRequest(str(tenant), Priority.STANDARD, 1e9), costs[tenant]))
    work: collections.Counter[str] = collections.Counter()
    for item in served(queue, 600):
        work[item.request.tenant] += item.cost  # type: ignore[assignment]  # a Counter of floats
    fair = sum(work.values()) / len(requests)
    assert all(abs(share - fair) <= 0.1 * fair for share in work.values())


def test_of_a_tenants_requests_the_smallest_goes_first_and_the_oldest_every_fourth_turn() -> None:
    old, small = ScheduledRequest("a", Priority.STANDARD, 100.0), ScheduledRequest("a", Priority.STANDARD, 8.0)
    queue = of(old, small)
    names = [item.request is small for item in served(queue, 400)]
    # The oldest is the one that has waited longest for this turn: of two, the one that was passed over.
    assert 290 <= sum(names) <= 310


def due(in_s: float, work: float, need_s: float = 100.0) -> ScheduledRequest:
    """A request with a deadline, which needs so long at best."""
    return ScheduledRequest("a", Priority.STANDARD, work, time.monotonic() + in_s, lambda: need_s)


def order(*requests: ScheduledRequest) -> list[ScheduledRequest]:
    return [item.request for item in of(*requests).ranked()]


def test_a_tight_deadline_goes_before_a_small_request() -> None:
    small, tight, loose = ScheduledRequest("a", Priority.STANDARD, 1.0), due(150, 100.0), due(1000, 50.0)
    assert order(small, loose, tight) == [tight, small, loose]


def test_what_is_due_before_a_tight_deadline_is_not_left_lying_for_it() -> None:
    begun = due(150, 40.0, need_s=40.0)
    late, small = due(190, 100.0), ScheduledRequest("a", Priority.STANDARD, 1.0)
    assert late.tight()
    assert not begun.tight()
    assert order(small, late, begun) == [begun, late, small]


def test_tight_deadlines_make_the_oldest_wait_longer_and_not_for_ever() -> None:
    old = ScheduledRequest("a", Priority.STANDARD, 1e9)
    queue = of(old, due(150, 100.0))
    counts = collections.Counter(item.request is old for item in served(queue, 320))
    assert counts[True] == 320 / OLDEST_EVERY_TIGHT


def test_how_pressing_a_deadline_is_goes_by_what_is_needed_still() -> None:
    assert [(each.tight(), each.lost()) for each in (due(210, 1.0), due(190, 1.0), due(99, 1.0))] == [
        (False, False), (True, False), (True, True)
    ]  # fmt: skip
    assert not ScheduledRequest("a", Priority.STANDARD, 100.0, need_s=lambda: 1e9).lost(), "it has no deadline"
    assert not due(1, 100.0, need_s=0.0).tight(), "the need is unknown"


def test_equal_ones_are_served_in_the_order_of_arrival() -> None:
    requests = [ScheduledRequest(str(number), Priority.STANDARD, 5.0) for number in range(5)]
    queue = of(*requests)
    assert [item.request for item in served(queue, 5)] == requests


def test_the_order_ahead_is_the_order_that_comes() -> None:
    queue = of(
        ScheduledRequest("a", Priority.BULK, 3.0),
        ScheduledRequest("a", Priority.STANDARD, 9.0),
        ScheduledRequest("b", Priority.STANDARD, 2.0),
        ScheduledRequest("a", Priority.INTERACTIVE, 5.0),
    )
    ahead = queue.projected()
    assert len(queue) == 4, "a projection serves no entry"
    for expected in ahead:
        item = queue.first()
        assert item is expected
        queue.serve(item, item.request.work)
    assert len(queue) == 0


def test_only_some_classes_can_be_asked_for() -> None:
    queue = of(ScheduledRequest("a", Priority.BULK, 1.0))
    assert queue.first(lambda item: item.request.priority is not Priority.BULK) is None
    assert queue.first() is not None


@pytest.mark.parametrize("priority", list(Priority))
def test_no_class_starves(priority: Priority) -> None:
    others = [ScheduledRequest(f"t{number}", other, 1.0) for other in Priority for number in range(5)]
    last = ScheduledRequest("last", priority, 1e6)
    queue = of(*others, last)
    assert any(item.request is last for item in served(queue, 400))
