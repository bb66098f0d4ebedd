"""One computation for all callers at the same time, whichever of them is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.cache.single_flight import SingleFlight


class Work:
    """A computation that ends when it is let go."""

    def __init__(self) -> None:
        self.started = self.cancelled = 0
        self.go = asyncio.Event()
        self.fails = False

    async def __call__(self) -> int:
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise ValueError("no")
        return self.started


async def crowd(flights: SingleFlight[int], work: Work, count: int, key: str = "k") -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.run(key, work)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_a_thousand_share_one() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = await crowd(flights, work, 1000)
    work.go.set()
    assert set(await asyncio.gather(*tasks)) == {1}
    assert work.started == 1
    # Nothing is remembered: that is the cache's business.
    assert await flights.run("k", work) == 2


async def test_different_keys_do_not_wait_for_each_other() -> None:
    flights, work, other = SingleFlight[int](), Work(), Work()
    await crowd(flights, work, 1)
    other.go.set()
    assert await flights.run("other", other) == 1
    work.go.set()


@pytest.mark.parametrize("leaver", [0, 1, 4])
async def test_one_who_leaves_costs_the_others_nothing(leaver: int) -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = await crowd(flights, work, 5)
    tasks.pop(leaver).cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*tasks) == [1] * 4
    assert (work.started, work.cancelled) == (1, 0)


async def test_when_the_last_one_leaves_the_work_is_cancelled_and_the_next_one_starts_anew() -> None:
    flights, work = SingleFlight[int](), Work()
    tasks = await crowd(flights, work, 3)
    for task in tasks:
        task.cancel()
    late = asyncio.create_task(flights.run("k", work))
    assert all(isinstance(r, asyncio.CancelledError) for r in await asyncio.gather(*tasks, return_exceptions=True))
    work.go.set()
    assert await late == 2
    assert (work.started, work.cancelled) == (2, 1)


async def test_a_failure_reaches_everyone_and_is_not_remembered() -> None:
    flights, work = SingleFlight[int](), Work()
    work.fails = True
    tasks = await crowd(flights, work, 3)
    work.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 3
    work.fails = False
    assert await flights.run("k", work) == 2
