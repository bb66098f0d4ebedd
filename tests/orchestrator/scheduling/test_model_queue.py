"""The queue of a model: how long reservations last, what is expected back, and which calls join an urgent batch."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.scheduling import Priority, ScheduledRequest
from orchestrator.scheduling.call import Batch, Call
from orchestrator.scheduling.model_queue import ModelQueue
from tests.orchestrator.small import KnownCost, capacity


def call(rows: int = 2, *, again: bool = True) -> Call:
    request = ScheduledRequest("a", Priority.STANDARD, 10.0)
    inputs = {"x": np.zeros((rows, 3), np.float32)}
    return Call(request, "model", inputs, cost=float(rows), request_id="id", again=again)


def test_a_reservation_lasts_four_mean_returns_within_bounds() -> None:
    queue = ModelQueue()
    assert queue.reservation_s == pytest.approx(0.004)
    for _ in range(200):
        queue.record_return(0.0)
    assert queue.reservation_s == 0.002
    queue.record_return(0.05)
    assert queue.reservation_s == pytest.approx(0.02)
    for _ in range(200):
        queue.record_return(0.05)
    assert queue.reservation_s == 0.05


async def test_rows_of_callers_that_return_are_expected() -> None:
    queue, calls = ModelQueue(), [call(), call(4, again=False)]
    batch = Batch(calls)
    queue.sent(batch, overlapped=False)
    assert queue.returning_rows(calls[0].shape) == 2
    queue.done(batch, 0.1)
    assert queue.returning_rows(calls[0].shape) == 0


async def test_only_a_batch_that_shared_its_replica_with_none_says_what_it_costs() -> None:
    queue, shape = ModelQueue(), call().shape
    for overlapped, seconds in ((True, 9.0), (False, None), (False, 0.1)):
        batch = Batch([call()])
        queue.sent(batch, overlapped=overlapped)
        queue.done(batch, seconds)
    assert queue.costs[shape].seconds(2) == 0.1


@pytest.mark.parametrize(("row_s", "joined"), [(0.0, 3), (0.1, 1), (1.0, 0)])
async def test_lower_classes_join_while_they_lengthen_the_batch_by_a_quarter_at_most(row_s: float, joined: int) -> None:
    queue, lower = ModelQueue(lambda: KnownCost(1.0, row_s)), [call() for _ in range(4)]
    entries = queue.additions(lower[0].shape, 2, lower, capacity(1, 8))
    assert entries == lower[:joined], "the fourth has no room in a batch of 8 rows"


async def test_a_reservation_stops_the_additions() -> None:
    queue, first = ModelQueue(lambda: KnownCost(1.0, 0.0)), call()
    assert queue.additions(first.shape, 2, [first, first.reservation(1e9), call()], capacity(1, 8)) == [first]
