"""Admission: bounded, in order, honest about positions, and leak-free under cancellation."""

import asyncio
import contextlib

import pytest

from backdrop.errors import OverloadedError, UnavailableError
from orchestrator.admission import Admission


async def hold(admission: Admission, positions: list[int], release: asyncio.Event) -> None:
    async with admission.slot(positions.append):
        await release.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_queue_moves_up_in_order() -> None:
    admission = Admission(max_running=1, max_queued=2)
    seen: list[list[int]] = [[], [], []]
    gates = [asyncio.Event() for _ in seen]
    tasks = [asyncio.create_task(hold(admission, *pair)) for pair in zip(seen, gates, strict=True)]
    await settle()
    assert seen == [[0], [1], [2]]
    gates[0].set()
    await settle()
    assert seen == [[0], [1, 0], [2, 1]]
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)
    assert (admission.running, admission.waiting) == (0, 0)


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    admission = Admission(max_running=1, max_queued=0)
    release = asyncio.Event()
    task = asyncio.create_task(hold(admission, [], release))
    await settle()
    with pytest.raises(OverloadedError) as caught:
        async with admission.slot(lambda _: None):
            pytest.fail("admitted")
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 0
    release.set()
    await task


async def test_draining_refuses_new_requests_and_waits_for_old_ones() -> None:
    admission = Admission(max_running=1, max_queued=1)
    gates = [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(hold(admission, [], gate)) for gate in gates]
    await settle()
    admission.drain()
    with pytest.raises(UnavailableError):
        async with admission.slot(lambda _: None):
            pytest.fail("admitted")
    idle = asyncio.create_task(admission.wait_idle())
    gates[0].set()
    await settle()
    assert not idle.done()
    gates[1].set()
    await asyncio.gather(idle, *tasks)


async def test_cancelled_waiters_leave_no_hole() -> None:
    admission = Admission(max_running=1, max_queued=3)
    seen: list[list[int]] = [[] for _ in range(4)]
    gates = [asyncio.Event() for _ in seen]
    tasks = [asyncio.create_task(hold(admission, *pair)) for pair in zip(seen, gates, strict=True)]
    await settle()
    tasks[1].cancel()
    await settle()
    assert seen[2:] == [[2, 1], [3, 2]]
    # Given a place and cancelled in the same breath: the place goes to the next in line.
    gates[0].set()
    tasks[0].add_done_callback(lambda _: tasks[2].cancel())
    await settle()
    assert seen[3][-1] == 0
    gates[3].set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert (admission.running, admission.waiting) == (0, 0)
