"""Turns: the bound on rows, work that never stands still, and no leak under cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from orchestrator.scheduling import Applicant, Priority, Turns


def someone(tenant: str = "a", work: float = 100.0, priority: Priority = Priority.STANDARD) -> Applicant:
    """A request."""
    return Applicant(tenant, priority, work)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Call:
    """A model call that ends when it is told to."""

    def __init__(self, turns: Turns, applicant: Applicant, rows: int = 1, cost: float = 1.0) -> None:
        self.runs = False
        self.end = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns, applicant, rows, cost))

    async def _run(self, turns: Turns, applicant: Applicant, rows: int, cost: float) -> None:
        async with turns.turn(applicant, rows, cost):
            self.runs = True
            await self.end.wait()
        self.runs = False


async def test_rows_are_bounded_and_come_out_in_fair_order() -> None:
    waits: list[Priority] = []
    turns = Turns(lambda: 4, lambda priority, seconds: waits.append(priority))
    running = [Call(turns, someone(), rows=2) for _ in range(2)]
    late = Call(turns, someone("b", priority=Priority.BULK), rows=2)
    urgent = Call(turns, someone("c", priority=Priority.INTERACTIVE), rows=2)
    await settle()
    assert (turns.out, turns.waiting) == (4, 4)
    running[0].end.set()
    await settle()
    assert (urgent.runs, late.runs) == (True, False)
    for call in (running[1], urgent, late):
        call.end.set()
    await asyncio.gather(*(call.task for call in (*running, late, urgent)))
    assert (turns.out, turns.waiting) == (0, 0)
    assert sorted(waits) == [Priority.INTERACTIVE, Priority.STANDARD, Priority.STANDARD, Priority.BULK]


async def test_a_call_larger_than_the_bound_goes_out_alone_and_is_not_overtaken() -> None:
    turns = Turns(lambda: 2)
    small = Call(turns, someone())
    await settle()
    large, behind = Call(turns, someone(work=1.0), rows=8), Call(turns, someone(work=2.0))
    await settle()
    assert (small.runs, large.runs, behind.runs) == (True, False, False)
    small.end.set()
    await settle()
    assert (large.runs, behind.runs, turns.out) == (True, False, 8)
    large.end.set()
    behind.end.set()
    await asyncio.gather(small.task, large.task, behind.task)


async def test_without_a_replica_one_call_goes_out() -> None:
    turns = Turns(lambda: 0)
    call = Call(turns, someone())
    await settle()
    assert call.runs, "the pool is asked, and says that there is nobody"
    call.end.set()
    await call.task


async def test_turns_count_down_what_a_request_has_left() -> None:
    turns, applicant = Turns(lambda: 4), someone(work=3.0)
    ticket = turns.ticket(applicant, megapixels=0.5)
    async with ticket.turn(2):
        assert applicant.work == 2.0
    async with ticket.turn(8):
        assert applicant.work == 0.0, "never below nothing"


async def test_who_leaves_in_the_breath_of_being_given_a_turn_passes_it_on() -> None:
    turns = Turns(lambda: 1)
    first, second, third = (Call(turns, someone()) for _ in range(3))
    await settle()
    first.end.set()
    first.task.add_done_callback(lambda _: second.task.cancel())
    await settle()
    assert third.runs
    third.end.set()
    await third.task
    assert (turns.out, turns.waiting) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_leaks_whatever_is_cancelled_when(seed: int) -> None:
    dice, turns = random.Random(seed), Turns(lambda: 3)
    calls = [Call(turns, someone(str(n % 3), n), rows=1 + n % 3) for n in range(40)]
    for call in dice.sample(calls, len(calls)):
        if dice.random() < 0.5:
            call.task.cancel()
        else:
            call.end.set()
        if dice.random() < 0.7:
            await settle()
        assert turns.out <= 3
    for call in calls:
        with contextlib.suppress(asyncio.CancelledError):
            await call.task
    assert (turns.out, turns.waiting) == (0, 0)
