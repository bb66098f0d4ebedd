"""The budget: amounts add up, large ones run alone and are not overtaken, and who is cancelled holds up nobody."""

from __future__ import annotations

import asyncio

from orchestrator.budget import Budget


class Holder:
    """Holds an amount until it is released."""

    def __init__(self, budget: Budget, amount: float) -> None:
        self.holds, self._release = False, asyncio.Event()
        self.task = asyncio.create_task(self._run(budget, amount))

    async def _run(self, budget: Budget, amount: float) -> None:
        async with budget.hold(amount):
            self.holds = True
            await self._release.wait()

    async def end(self) -> None:
        self._release.set()
        await self.task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def holders(budget: Budget, *amounts: float) -> list[Holder]:
    result = [Holder(budget, amount) for amount in amounts]
    await settled()
    return result


def holding(all_: list[Holder]) -> list[bool]:
    return [holder.holds for holder in all_]


async def test_what_does_not_fit_waits_and_nobody_overtakes() -> None:
    budget = Budget(10)
    four, six, eight, one = all_ = await holders(budget, 4, 6, 8, 1)
    assert holding(all_) == [True, True, False, False], "1 would fit after 4 ends, but 8 came first"
    await four.end()
    await settled()
    assert holding(all_) == [True, True, False, False]
    await six.end()
    await settled()
    assert holding(all_) == [True, True, True, True]
    await asyncio.gather(eight.end(), one.end())
    assert (budget.held, budget.used) == (0, 19)


async def test_rounding_errors_end_with_the_last_holder() -> None:
    budget = Budget(1)
    all_ = await holders(budget, 0.1, 0.2, 0.3)
    for holder in all_:
        await holder.end()
    assert budget.held == 0.0, "0.1 + 0.2 + 0.3 - 0.1 - 0.2 - 0.3 is not 0"


async def test_more_than_everything_runs_alone() -> None:
    budget = Budget(10)
    small, huge, next_ = all_ = await holders(budget, 1, 50, 1)
    assert holding(all_) == [True, False, False]
    await small.end()
    await settled()
    assert (holding(all_), budget.held) == ([True, True, False], 10)
    await huge.end()
    await next_.end()


async def test_who_is_cancelled_holds_up_nobody() -> None:

    budget = Budget(10)
    first, waiting, last = all_ = await holders(budget, 8, 9, 2)
    waiting.task.cancel()
    await settled()
    assert holding(all_) == [True, False, True]
    for holder in (first, last):
        holder.task.cancel()
    await settled()
    assert (budget.held, budget.waiting) == (0, 0)
