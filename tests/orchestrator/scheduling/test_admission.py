"""Admission: bounded, in order, honest about positions, and leak-free under cancellation."""

import asyncio
import contextlib

import pytest

from backdrop.errors import OverloadedError, UnavailableError
from orchestrator.scheduling import Priority, ScheduledRequest
from orchestrator.scheduling import admission as admission_module
from orchestrator.scheduling.admission import Admission, Limits, Turn
from orchestrator.scheduling.place import Place


def someone(tenant: str = "a", priority: Priority = Priority.INTERACTIVE, work: float = 10.0) -> ScheduledRequest:
    return ScheduledRequest(tenant, priority, work)


async def hold(
    admission: Admission, positions: list[int], release: asyncio.Event, request: ScheduledRequest | None = None
) -> None:
    async with admission.slot(request or someone(), lambda place: positions.append(place.position)):
        await release.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_queue_moves_up_in_order() -> None:
    admission = Admission(Limits(1, 2))
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


async def test_the_position_counts_the_queue_and_not_the_requests_that_run() -> None:
    admission, release = Admission(Limits(3, 3)), asyncio.Event()
    seen: list[list[int]] = [[] for _ in range(5)]
    tasks = [asyncio.create_task(hold(admission, positions, release)) for positions in seen]
    await settle()
    assert seen == [[0], [0], [0], [1], [2]]
    release.set()
    await asyncio.gather(*tasks)


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    admission = Admission(Limits(1, 0))
    release = asyncio.Event()
    task = asyncio.create_task(hold(admission, [], release))
    await settle()
    with pytest.raises(OverloadedError) as caught:
        async with admission.slot(someone(), lambda _: None):
            pytest.fail("admitted")
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 0
    release.set()
    await task


async def test_draining_refuses_new_requests_and_waits_for_old_ones() -> None:
    admission = Admission(Limits(1, 1))
    gates = [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(hold(admission, [], gate)) for gate in gates]
    await settle()
    admission.drain()
    with pytest.raises(UnavailableError):
        async with admission.slot(someone(), lambda _: None):
            pytest.fail("admitted")
    idle = asyncio.create_task(admission.wait_idle())
    gates[0].set()
    await settle()
    assert not idle.done()
    gates[1].set()
    await asyncio.gather(idle, *tasks)


async def test_cancelled_waiters_leave_no_hole() -> None:
    admission = Admission(Limits(1, 3))
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


async def test_an_interactive_request_finds_a_place_beside_bulk() -> None:
    admission, release = Admission(Limits(max_running=4, max_queued=8)), asyncio.Event()
    bulk = [asyncio.create_task(hold(admission, [], release, someone(str(n), Priority.BULK))) for n in range(4)]
    standard = [asyncio.create_task(hold(admission, [], release, someone(str(n), Priority.STANDARD))) for n in range(3)]
    await settle()
    assert (admission.running, admission.waiting) == (3, 4), "two of bulk, and one more of standard"
    seen: list[int] = []
    interactive = asyncio.create_task(hold(admission, seen, release))
    await settle()
    assert seen == [0]
    release.set()
    await asyncio.gather(*bulk, *standard, interactive)


async def test_tenants_take_turns_in_the_queue() -> None:
    admission, order = Admission(Limits(max_running=1, max_queued=8)), list[str]()

    async def run(tenant: str) -> None:
        async with admission.slot(someone(tenant), lambda _: None):
            order.append(tenant)
            await settle()

    await asyncio.gather(*(run(tenant) for tenant in ("a", "a", "a", "a", "b", "c")))
    assert order[0] == "a"
    assert {"b", "c"} <= set(order[1:4]), "not after all that the first tenant has sent"


async def test_work_is_bounded_too_and_the_expected_start_follows_it() -> None:
    limits = Limits(max_running=1, max_queued=8, max_queued_work=25.0)
    admission, gates = Admission(limits), [asyncio.Event() for _ in range(3)]
    places: list[Place] = []

    async def run(gate: asyncio.Event) -> None:
        async with admission.slot(someone(), places.append):
            await gate.wait()

    tasks = [asyncio.create_task(run(gate)) for gate in gates]
    await settle()
    assert [place.position for place in places] == [0, 1, 2]
    assert 0 == places[0].expected_start_s < places[1].expected_start_s < places[2].expected_start_s
    assert places[2].expected_start_s == pytest.approx(2 * places[1].expected_start_s)
    with pytest.raises(OverloadedError) as caught:
        async with admission.slot(someone(), lambda _: None):
            pytest.fail("admitted")
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s >= places[2].expected_start_s
    assert admission.queued_work == 20.0
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)


async def test_one_request_waits_however_large_it_is() -> None:
    admission, gates = Admission(Limits(1, 8, max_queued_work=5.0)), [asyncio.Event(), asyncio.Event()]
    tasks = [asyncio.create_task(hold(admission, [], gate)) for gate in gates]
    await settle()
    assert (admission.running, admission.waiting) == (1, 1)
    for gate in gates:
        gate.set()
    await asyncio.gather(*tasks)


class Queueing:
    """Requests that join one after another and neither run nor leave."""

    def __init__(self, limits: Limits) -> None:
        self.admission = Admission(limits)
        self.turns: list[Turn] = []
        self.waits: list[asyncio.Task[None]] = []

    def join(self, *requests: ScheduledRequest) -> None:
        for request in requests:
            self.turns.append(self.admission.join(request, lambda place: None))
            self.waits.append(asyncio.create_task(self.turns[-1].wait()))

    async def refused(self) -> list[int]:
        """The numbers of those that were dropped, of those that joined."""
        await settle()
        return [number for number, wait in enumerate(self.waits) if wait.done() and wait.exception()]

    async def leave(self) -> None:
        """All of them leave."""
        for turn in self.turns:
            turn.close()
        for wait in self.waits:
            wait.cancel()
        await asyncio.gather(*self.waits, return_exceptions=True)


async def test_a_full_queue_drops_the_newest_of_the_tenant_that_holds_most() -> None:
    queue = Queueing(Limits(max_running=1, max_queued=4))
    queue.join(*(someone("loud") for _ in range(5)), someone("quiet"))
    assert await queue.refused() == [4]
    assert (queue.admission.running, queue.admission.waiting) == (1, 4)
    with pytest.raises(OverloadedError):
        queue.join(someone("loud"))
    queue.join(someone("quiet"))
    assert await queue.refused() == [3, 4], "two of four places each"
    with pytest.raises(OverloadedError):
        queue.join(someone("quiet"))
    await queue.leave()
    assert (queue.admission.running, queue.admission.waiting, queue.admission.held_bytes) == (0, 0, 0)


async def test_the_quick_check_lets_a_tenant_with_less_of_a_full_queue_pass() -> None:
    queue = Queueing(Limits(max_running=1, max_queued=4))
    queue.join(*(someone("loud") for _ in range(5)))
    queue.admission.check(Priority.INTERACTIVE, "quiet")
    with pytest.raises(OverloadedError):
        queue.admission.check(Priority.INTERACTIVE, "loud")


async def test_a_burst_of_refusals_passes_over_the_queue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    monkeypatch.setattr(admission_module, "displaced_by", lambda *arguments: passes.append(arguments))
    admission, release = Admission(Limits(1, 1)), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, [], release)) for _ in range(2)]
    await settle()
    for _ in range(20):
        with pytest.raises(OverloadedError):
            admission.check(Priority.STANDARD, "a")
    assert len(passes) == 1
    tasks.pop().cancel()
    await settle()
    admission.check(Priority.STANDARD, "a")  # there is room again
    tasks.append(asyncio.create_task(hold(admission, [], release)))
    await settle()
    with pytest.raises(OverloadedError):
        admission.check(Priority.STANDARD, "a")
    assert len(passes) == 2, "the queue has changed"
    release.set()
    await asyncio.gather(*tasks)


async def test_work_and_bytes_of_one_tenant_make_room_for_another() -> None:
    queue = Queueing(Limits(max_running=1, max_queued=9, max_queued_work=100.0))
    queue.join(someone("loud"), someone("loud", work=60.0), someone("loud", work=40.0), someone("quiet", work=30.0))
    assert await queue.refused() == [2]
    with pytest.raises(OverloadedError):
        queue.join(someone("greedy", work=90.0))
    queue = Queueing(Limits(max_running=1, max_queued=9, max_held_bytes=100.0))
    large, small = (ScheduledRequest("loud", Priority.BULK, 1.0, size_bytes=50) for _ in range(2))
    queue.join(large, small, ScheduledRequest("quiet", Priority.BULK, 1.0, size_bytes=30))
    assert await queue.refused() == [1]
    assert queue.admission.held_bytes == 80


async def test_a_lower_class_displaces_no_higher_one() -> None:
    queue = Queueing(Limits(max_running=1, max_queued=2))
    queue.join(*(someone("loud", Priority.INTERACTIVE) for _ in range(3)))
    with pytest.raises(OverloadedError):
        queue.join(someone("quiet", Priority.BULK))
    queue.join(someone("quiet", Priority.INTERACTIVE))
    assert await queue.refused() == [2]


async def test_a_request_that_is_never_admitted_counts_as_waiting() -> None:
    admission, gate = Admission(Limits(1, 4)), asyncio.Event()
    tasks = [asyncio.create_task(hold(admission, [], gate)) for _ in range(2)]
    await settle()
    bulk = asyncio.create_task(hold(admission, [], gate, someone(priority=Priority.BULK)))
    await asyncio.sleep(0.05)
    waits = admission.oldest_wait_s
    assert waits["interactive"] >= waits["bulk"] > 0.04
    assert waits["standard"] == 0
    gate.set()
    await asyncio.gather(*tasks, bulk)
    assert set(admission.oldest_wait_s.values()) == {0}
