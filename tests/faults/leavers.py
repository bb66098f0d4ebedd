"""Callers who leave at random moments: what is computed after they left, and what stays of them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
from typing import Any

from tritonclient.grpc.aio import InferenceServerClient

import backdrop
from tests.faults.load import options
from tests.faults.site import Site

GROUP = 8
"""Callers who leave at the same moment."""
_STEPS = 12
_WAYS = ("task", "generation", "deadline", "connection")
_WARM_SHARE = 0.1
"""Callers before the first count, ÷ those who are counted: pools of connections grow to their level by chance."""
_SOLO_S = 0.6
_DENOISER = "denoiser"
_GAUGES = (
    "backdrop_running_requests",
    "backdrop_queued_requests",
    "backdrop_rows_out",
    "backdrop_rows_waiting",
    "backdrop_held_bytes",
    "backdrop_worked_megapixels",
)


@dataclasses.dataclass(frozen=True)
class Holdings:
    """What an orchestrator holds while it has nothing to do."""

    tasks: int
    descriptors: int
    regions: int
    busy: dict[str, float]
    """Gauges that are not zero."""

    def beyond(self, before: Holdings) -> int:
        """How many tasks, descriptors and regions there are more than before, and gauges that are not zero."""
        grown = (self.tasks - before.tasks, self.descriptors - before.descriptors, self.regions - before.regions)
        return sum(max(0, each) for each in grown) + len(self.busy)


@dataclasses.dataclass(frozen=True)
class LeaverReport:
    """What callers who left cost.

    Attributes:
        cancels: number of callers who left before their picture was made.
        most_rows: most rows of a caller's group that were computed after the server had been told that the callers
            left, ÷ callers of the group.
        before: what the orchestrator held before the first of them.
        after: what it holds after the last one.
    """

    cancels: int
    most_rows: float
    before: Holdings
    after: Holdings

    @property
    def remaining(self) -> int:
        """Tasks, descriptors and regions more than before, and gauges that are not zero."""
        return self.after.beyond(self.before)


async def leave(site: Site, count: int) -> LeaverReport:
    """Has `count` callers leave: tasks or generations are cancelled, deadlines pass, or connections are closed."""
    dice, cancels, most = random.Random(5), 0, 0.0
    for how in _WAYS * max(2, round(count * _WARM_SHARE / GROUP / len(_WAYS))):
        await _group(site, dice, how)  # opens what stays open: connections, also to Redis, and the region
    before = await holdings(site)
    async with contextlib.AsyncExitStack() as stack:
        tritons = [
            await stack.enter_async_context(InferenceServerClient(site.child(f"triton-{index}").service.endpoint))
            for index in range(site.plan.tritons)
        ]
        while cancels < count:
            cancels += await _group(site, dice, dice.choice(_WAYS))
            at_once = await _rows(tritons)
            most = max(most, (await _settled(tritons) - at_once) / GROUP)
    return LeaverReport(cancels, most, before, await holdings(site, before))


async def _group(site: Site, dice: random.Random, how: str) -> int:
    """Lets a group begin, and leave together at a random moment; returns how many were not served before."""
    moment_s = dice.uniform(0.0, _SOLO_S)
    client = backdrop.AsyncClient(site.endpoints[0], retries=0)
    timeout_s = max(moment_s, 0.05) if how == "deadline" else 60.0
    generations = [
        client.generate(backdrop.TextToImage(), **options(number, steps=_STEPS, timeout_s=timeout_s))
        for number in range(GROUP)
    ]
    tasks = [asyncio.ensure_future(_awaited(generation)) for generation in generations]
    if how == "deadline":
        await asyncio.wait(tasks)
    else:
        await asyncio.sleep(moment_s)
    served = sum(int(task.done() and task.result()) for task in tasks)
    if how == "task":
        for task in tasks:
            task.cancel()
    elif how == "generation":
        for generation in generations:
            generation.cancel()
    if how == "connection":
        await client.close()
        client = backdrop.AsyncClient(site.endpoints[0], retries=0)
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.ready()  # answered after all that was sent before on its connection, the cancels
    await client.close()
    return GROUP - served


async def _awaited(generation: backdrop.Generation) -> bool:
    try:
        await generation
    except (backdrop.BackdropError, backdrop.CancelledError):
        return False
    return True


async def _rows(tritons: list[InferenceServerClient]) -> int:
    """Rows that the denoiser has computed, on all Tritons."""
    answers: list[Any] = [await triton.get_inference_statistics(_DENOISER) for triton in tritons]
    return sum(int(answer.model_stats[0].inference_count) for answer in answers)


async def _settled(tritons: list[InferenceServerClient]) -> int:
    rows = -1
    while rows != (now := await _rows(tritons)):
        rows = now
        await asyncio.sleep(0.2)  # more than a step
    return rows


async def holdings(site: Site, within: Holdings | None = None, settle_s: float = 20.0) -> Holdings:
    """What the first orchestrator holds once it has nothing to do and, if it can be awaited, no more than `within`."""
    loop = asyncio.get_running_loop()
    give_up, before = loop.time() + settle_s, None
    while True:
        now = await _holdings(site)
        settled = not now.busy and (now == before if within is None else now.beyond(within) == 0)
        if settled or loop.time() > give_up:
            return now
        before = now
        await asyncio.sleep(0.5)


async def _holdings(site: Site) -> Holdings:
    child = site.child("orchestrator-0")
    values = {name: await site.gauge(name) for name in _GAUGES}
    return Holdings(
        tasks=int(await site.gauge("backdrop_event_loop_tasks")),
        descriptors=len(os.listdir(f"/proc/{child.pid}/fd")),  # noqa: PTH208
        regions=sum(name.startswith(child.service.shm_prefix or "-") for name in os.listdir("/dev/shm")),  # noqa: PTH208
        busy={name: value for name, value in values.items() if value},
    )
