"""The batcher: which calls leave together, which wait for others, and that no call is lost in any failure."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from backdrop.errors import BackdropError, DeadlineExceededError, Reason, error
from orchestrator.scheduling import Batcher, Capacity, Priority, ScheduledRequest, model_queue
from orchestrator.scheduling.call import Arrays, Outputs
from orchestrator.scheduling.request import unknown_need
from tests.orchestrator.small import KnownCost, capacity
from tests.patience import PATIENCE_S

FREE, LINEAR = (0.04, 0.0), (0.0, 0.02)
"""Base and row cost of a batch: more rows cost nothing, or each row costs as much as the first."""


class Model:
    """A model whose batches end when they are told to, and which adds 1 to `x`."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []  # of each, the rows' values
        self.ids: list[str] = []
        self.priorities: list[Priority] = []
        self.out: list[asyncio.Future[None]] = []
        self.broken: Callable[[list[float]], BaseException | None] = lambda rows: None

    async def __call__(self, model: str, inputs: Arrays, *, request_id: str, priority: Priority) -> Outputs:
        rows = inputs["x"][:, 0].tolist()
        self.batches.append(rows)
        self.ids.append(request_id)
        self.priorities.append(priority)
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.out.append(end)
        await end
        if (problem := self.broken(rows)) is not None:
            raise problem
        return {"y": inputs["x"] + 1}

    async def end(self, *numbers: int) -> None:
        """Ends the batches of these numbers, and lets what follows happen."""
        for number in numbers:
            self.out[number].set_result(None)
        await settle()


class World:
    """A batcher over a model of so many replicas."""

    def __init__(self, cost: tuple[float, float] = FREE, replicas: int = 1, max_rows: int = 8) -> None:
        self.model = Model()
        self.capacity = capacity(replicas, max_rows)
        self.saturated = False
        self.elsewhere = frozenset[str]()
        """Models on a replica of their own."""
        self.waits: list[Priority] = []
        self.batcher = Batcher(
            self.model,
            lambda model: Capacity(frozenset({model}), 8) if model in self.elsewhere else self.capacity,
            lambda: self.saturated,
            lambda priority, seconds: self.waits.append(priority),
            lambda: KnownCost(*cost),
        )

    def job(
        self, name: float, *, steps: int = 1, rows: int = 2, tenant: str = "a",
        priority: Priority = Priority.STANDARD, work: float | None = None, width: int = 3, model: str = "model",
        due: float = math.inf, need_s: Callable[[], float] = unknown_need,
    ) -> asyncio.Task[list[float]]:  # fmt: skip
        """A request that takes steps one after another; its rows hold its name. Returns the result of each step."""
        request = ScheduledRequest(tenant, priority, float(steps * rows) if work is None else work, due, need_s)
        ticket = self.batcher.ticket(request, megapixels=1.0)

        async def run() -> list[float]:
            results: list[float] = []
            for step in range(steps):
                inputs = {"x": np.full((rows, width), name, np.float32)}
                outputs = await ticket.infer(model, inputs, request_id=f"id{name}", again=step + 1 < steps)
                assert outputs["y"].shape == (rows, width)
                results.append(float(outputs["y"][0, 0]))
            return results

        return asyncio.create_task(run())


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def rows(world: World) -> tuple[int, int]:
    """Rows at models, and rows that wait."""
    return world.batcher.running_rows.total(), world.batcher.waiting_rows.total()


async def until(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.fixture
def long_reservations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers return in time however busy the machine is."""
    for name in ("_MIN_RESERVATION_S", "_MAX_RESERVATION_S"):
        monkeypatch.setattr(model_queue, name, 10.0)


def more_batches_than(world: World, count: int) -> Callable[[], bool]:
    return lambda: len(world.model.batches) > count


async def test_a_call_alone_leaves_at_once() -> None:
    world = World()
    job = world.job(1, steps=3)
    for step in range(3):
        await settle()
        assert (len(world.model.batches), world.batcher.running_rows.total(), world.batcher.waiting_rows.total()) == (
            step + 1,
            2,
            0,
        )
        await world.model.end(step)
    assert await job == [2, 2, 2]
    assert (world.batcher.running_rows.total(), world.batcher.waiting_rows.total(), world.waits) == (
        0,
        0,
        [Priority.STANDARD] * 3,
    )


@pytest.mark.usefixtures("long_reservations")
async def test_requests_that_run_at_the_same_time_share_their_steps() -> None:
    """A new request waits for the running batch; from then on both leave together."""
    world = World()
    jobs = [world.job(1, steps=3)]
    await settle()
    jobs.append(world.job(5, steps=2))
    await settle()
    assert world.model.batches == [[1, 1]]
    for step in range(3):
        await world.model.end(step)
    assert world.model.batches == [[1, 1], [5, 5, 1, 1], [5, 5, 1, 1]]
    assert await asyncio.gather(*jobs) == [[2, 2, 2], [6, 6]], "each gets its own rows"
    assert world.model.ids == ["id1", "id5+1", "id5+1"]


async def test_where_each_row_costs_as_much_as_the_first_the_shorter_request_is_done_first() -> None:
    world = World(LINEAR)
    jobs = [world.job(1, steps=8), world.job(5, steps=5)]
    for step in range(13):
        await settle()
        await world.model.end(step)
    await asyncio.gather(*jobs)
    # Every fourth turn of a tenant goes to its oldest request.
    assert [rows[0] for rows in world.model.batches] == [1, 5, 5, 5, 1, 5, 5, 1, 1, 1, 1, 1, 1]


async def test_a_caller_that_does_not_return_is_waited_for_until_its_reservation_expires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_MIN_RESERVATION_S", "_MAX_RESERVATION_S"):
        monkeypatch.setattr(model_queue, name, 0.5)
    world = World(LINEAR)
    ticket = world.batcher.ticket(ScheduledRequest("a", Priority.STANDARD, 1.0), 1.0)
    gone = asyncio.create_task(ticket.infer("model", {"x": np.ones((2, 3), np.float32)}, request_id="", again=True))
    await settle()
    other = world.job(5)
    await settle()
    await world.model.end(0)
    await gone
    assert len(world.model.batches) == 1, "its reservation comes first"
    await until(lambda: len(world.model.batches) == 2)
    await world.model.end(1)
    assert await other == [6]
    assert world.batcher.waiting_rows.total() == 0


async def test_rows_of_another_shape_are_another_batch() -> None:
    world = World()
    jobs = [world.job(1), world.job(2, width=3), world.job(3, width=7), world.job(4, width=3)]
    await settle()
    await world.model.end(0)
    await world.model.end(1)
    await world.model.end(2)
    assert [sorted(set(rows)) for rows in world.model.batches] == [[1], [2, 4], [3]]
    assert await asyncio.gather(*jobs) == [[2], [3], [4], [5]]


async def test_no_batch_is_larger_than_the_model_takes_and_larger_calls_go_in_pieces() -> None:
    world = World(max_rows=4)
    jobs = [world.job(1)] + [world.job(number) for number in (2, 3, 4)] + [world.job(5, rows=6)]
    await settle()
    for number in range(5):
        await world.model.end(number)
    assert [len(rows) for rows in world.model.batches] == [2, 4, 2, 3, 3]
    await asyncio.gather(*jobs)


async def test_each_replica_has_a_batch_and_they_share_the_rows() -> None:
    world = World(replicas=2)
    jobs = [world.job(number, steps=2) for number in range(1, 7)]
    await settle()
    assert [len(rows) for rows in world.model.batches] == [2, 2]
    await world.model.end(0, 1)
    assert all(len(rows) in (4, 6) for rows in world.model.batches[2:4])
    await world.model.end(2, 3)
    while not all(job.done() for job in jobs):
        await world.model.end(*(number for number, end in enumerate(world.model.out) if not end.done()))
    assert sum(len(rows) for rows in world.model.batches) == 6 * 2 * 2


async def test_with_many_waiting_the_next_batch_is_queued_behind_the_one_that_runs() -> None:
    """Then the gaps between batches cost more than one batch that goes first."""
    world = World(LINEAR)
    jobs = [world.job(number) for number in range(1, 30)]
    await settle()
    assert len(world.model.batches) == 2
    ended = 0
    while not all(job.done() for job in jobs):
        assert len(world.model.batches) - ended <= 2
        await world.model.end(ended)
        ended += 1
    few = World(LINEAR)
    jobs = [few.job(number) for number in (1, 2, 3)]
    await settle()
    assert len(few.model.batches) == 1
    for number in range(3):
        await few.model.end(number)


async def test_while_requests_wait_for_admission_the_replica_never_idles() -> None:
    world = World(LINEAR)
    world.saturated = True
    jobs = [world.job(number) for number in (1, 2, 3)]
    await settle()
    assert len(world.model.batches) == 2
    await world.model.end(0, 1)
    await world.model.end(2)
    await asyncio.gather(*jobs)
    alike = World(FREE)
    alike.saturated = True
    jobs = [alike.job(number) for number in (1, 2)]
    await settle()
    assert len(alike.model.batches) == 1, "it is not yet as large as it could be"
    await alike.model.end(0)
    await alike.model.end(1)


@pytest.mark.usefixtures("long_reservations")
async def test_the_replica_is_kept_free_for_an_urgent_caller_that_will_return() -> None:
    world = World(LINEAR)
    bulk = [world.job(number, tenant="b", priority=Priority.BULK) for number in range(10, 40)]
    await settle()
    urgent = world.job(1, steps=4, priority=Priority.INTERACTIVE)
    await settle()
    ended = 0
    while not urgent.done():
        await world.model.end(ended)
        ended += 1
    steps = [number for number, rows in enumerate(world.model.batches) if rows[0] == 1]
    assert steps == [2, 3, 4, 5], "two batches were out when it came; nothing went between its steps"
    while not all(job.done() for job in bulk):
        await until(more_batches_than(world, ended))
        await world.model.end(ended)
        ended += 1


@pytest.mark.parametrize("shared", [True, False])
async def test_a_replica_is_kept_free_for_an_urgent_request_whatever_it_calls(shared: bool) -> None:
    world = World(LINEAR)
    world.elsewhere = frozenset() if shared else frozenset({"decoder"})
    bulk = world.job(5, steps=3, priority=Priority.BULK)
    await settle()
    urgent = world.job(1, model="decoder", priority=Priority.INTERACTIVE)
    await settle()
    assert [rows[0] for rows in world.model.batches] == [5, 1], "what runs is not stopped"
    await world.model.end(0)
    assert [rows[0] for rows in world.model.batches] == [5, 1] + [5] * (not shared)
    await world.model.end(1)
    await urgent
    # It may call another model now: for some milliseconds nothing goes before that.
    assert [rows[0] for rows in world.model.batches] == [5, 1] + [5] * (not shared)
    for number in (2, 3):
        await until(more_batches_than(world, number))
        await world.model.end(number)
    assert await bulk == [6, 6, 6]


async def test_when_an_urgent_job_is_over_nothing_is_kept_free_for_it() -> None:
    world = World(LINEAR)
    urgent = world.batcher.ticket(ScheduledRequest("a", Priority.INTERACTIVE, 1.0), 1.0)
    bulk = world.job(5, steps=2, priority=Priority.BULK)
    await settle()
    call = asyncio.create_task(urgent.infer("decoder", {"x": np.ones((2, 3), np.float32)}, request_id=""))
    await settle()
    await world.model.end(0, 1)
    await call
    assert len(world.model.batches) == 2
    urgent.close()
    await settle()
    await world.model.end(2)
    assert await bulk == [6, 6]


async def test_other_replicas_go_on() -> None:
    world = World(LINEAR, replicas=3)
    urgent = world.job(1, model="decoder", priority=Priority.INTERACTIVE)
    bulk = [world.job(number, priority=Priority.BULK) for number in (5, 6, 7)]
    await settle()
    assert [rows[0] for rows in world.model.batches] == [1, 5, 6], "one of three is kept"
    await world.model.end(0, 1, 2)
    await until(lambda: len(world.model.batches) == 4)
    await world.model.end(3)
    await asyncio.gather(urgent, *bulk)


@pytest.mark.parametrize(("cost", "batch"), [(FREE, [1, 1, 5, 5]), (LINEAR, [1, 1])])
async def test_calls_of_lower_classes_join_an_urgent_batch_that_they_hardly_slow(
    cost: tuple[float, float], batch: list[float]
) -> None:
    world = World(cost)
    first = world.job(9)
    await settle()
    bulk = world.job(5, priority=Priority.BULK)
    urgent = world.job(1, priority=Priority.INTERACTIVE)
    await settle()
    await world.model.end(0)
    assert world.model.batches[1] == batch
    assert world.model.priorities[1] is Priority.INTERACTIVE, "the highest class in the batch"
    await world.model.end(1)
    if not bulk.done():
        await until(lambda: len(world.model.batches) == 3)
        await world.model.end(2)
    await asyncio.gather(first, bulk, urgent)


async def test_in_an_outage_nothing_is_held_back() -> None:
    world = World(replicas=0)
    world.model.broken = lambda rows: error(Reason.NO_REPLICA, "no replica answers")
    jobs = [world.job(number) for number in range(5)]
    await settle()
    assert len(world.model.batches) == 5
    await world.model.end(*range(5))
    assert all(isinstance(problem, BackdropError) for problem in await asyncio.gather(*jobs, return_exceptions=True))
    assert rows(world) == (0, 0)


async def test_one_bad_call_does_not_fail_its_batch_mates() -> None:
    world = World()
    world.model.broken = lambda rows: error(Reason.MODEL_FAILED, "it failed") if 3 in rows else None
    jobs = [world.job(number) for number in (1, 2, 3, 4)]
    await settle()
    await world.model.end(0)
    await world.model.end(1)
    assert sorted(map(len, world.model.batches)) == [2, 2, 2, 2, 6], "each again, alone"
    await world.model.end(2, 3, 4)
    first, second, third, fourth = await asyncio.gather(*jobs, return_exceptions=True)
    assert (first, second, fourth) == ([2], [3], [5])
    assert isinstance(third, BackdropError)
    assert third.reason is Reason.MODEL_FAILED


@pytest.mark.parametrize("problem", [error(Reason.NO_REPLICA, "no replica answers"), RuntimeError("a bug")])
async def test_what_fails_for_all_fails_once(problem: Exception) -> None:
    world = World()
    jobs = [world.job(number) for number in (1, 2, 3)]
    await settle()
    await world.model.end(0)
    world.model.broken = lambda rows: problem
    await world.model.end(1)
    assert (await asyncio.gather(*jobs, return_exceptions=True))[1:] == [problem, problem]
    assert len(world.model.batches) == 2
    assert rows(world) == (0, 0)


async def test_a_cancelled_call_leaves_its_batch_running_for_the_others() -> None:
    world = World()
    first, stays, leaves = (world.job(number) for number in (1, 2, 3))
    await settle()
    await world.model.end(0)
    leaves.cancel()
    await settle()
    assert not world.model.out[1].cancelled()
    await world.model.end(1)
    assert (await stays, await first) == ([3], [2])


async def test_a_batch_whose_calls_are_all_cancelled_is_cancelled() -> None:
    world = World()
    jobs = [world.job(number) for number in (1, 2, 3)]
    await settle()
    await world.model.end(0)
    for job in jobs[1:]:
        job.cancel()
    await settle()
    assert world.model.out[1].cancelled()
    assert rows(world) == (0, 0)


async def test_a_call_that_is_cancelled_at_its_turn_is_not_sent() -> None:
    world = World(LINEAR)
    first, second, third = (world.job(number) for number in (1, 2, 3))
    await settle()
    world.model.out[0].set_result(None)
    second.cancel()  # its coroutine runs after the batch has ended
    await settle()
    assert [rows[0] for rows in world.model.batches] == [1, 3]
    await world.model.end(1)
    assert (await first, await third) == ([2], [4])


async def test_calls_count_down_what_a_request_has_left() -> None:
    world = World()
    request = ScheduledRequest("a", Priority.STANDARD, 3.0)
    ticket = world.batcher.ticket(request, megapixels=0.5)
    for number, (rows, remaining) in enumerate(((2, 2.0), (8, 0.0))):
        call: Awaitable[Any] = ticket.infer("model", {"x": np.ones((rows, 3), np.float32)}, request_id="")
        task = asyncio.ensure_future(call)
        await settle()
        assert request.work == remaining
        await world.model.end(number)
        await task


@pytest.mark.parametrize("cost", [FREE, LINEAR])
@pytest.mark.parametrize("seed", range(5))
async def test_nothing_leaks_whatever_is_cancelled_when(seed: int, cost: tuple[float, float]) -> None:
    dice, world = random.Random(seed), World(cost, replicas=1 + seed % 2, max_rows=6)
    jobs = [
        world.job(number, steps=1 + number % 4, rows=1 + number % 2, tenant=str(number % 3), width=3 + number % 2)
        for number in range(40)
    ]
    await settle()
    while not all(job.done() for job in jobs):
        if dice.random() < 0.3:
            dice.choice(jobs).cancel()
        running = [number for number, end in enumerate(world.model.out) if not end.done()]
        assert len(running) <= 2 * world.capacity.replicas
        if running:
            await world.model.end(dice.choice(running))
        else:
            await asyncio.sleep(0.002)  # a reservation has to expire
    for number, job in enumerate(jobs):
        with contextlib.suppress(asyncio.CancelledError):
            assert await job == [number + 1] * (1 + number % 4)
    await until(lambda: rows(world) == (0, 0))


async def test_a_request_that_cannot_meet_its_deadline_any_more_ends_before_its_next_step() -> None:
    world, pace = World(LINEAR), {"s": 1.0}
    other = world.job(1)
    await settle()
    late = world.job(2, steps=4, due=time.monotonic() + 100, need_s=lambda: pace["s"])
    await settle()
    pace["s"] = 200.0
    await world.model.end(0)
    assert await other == [2]
    with pytest.raises(DeadlineExceededError, match=r"can no longer be met: \d+\.\d\d s are left .* 200\.00 s"):
        await late
    assert world.model.batches == [[1, 1]], "not a row was spent on it"
    assert rows(world) == (0, 0)


async def test_a_request_that_loses_its_deadline_on_the_way_does_not_stop_its_batch_mates() -> None:
    world, pace = World(FREE), {"s": 1.0}
    on_time = world.job(1, steps=3)
    late = world.job(2, steps=3, due=time.monotonic() + 100, need_s=lambda: pace["s"])
    await settle()
    await world.model.end(0)
    pace["s"] = 1000.0
    while not on_time.done():
        await world.model.end(len(world.model.out) - 1)
    assert await on_time == [2, 2, 2]
    with pytest.raises(DeadlineExceededError):
        await late
    assert sum(row == 2 for batch in world.model.batches for row in batch) < 6
