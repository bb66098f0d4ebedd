"""The mark of fair shares: what a tenant at ten times its share does to the others' latency, over two orchestrators."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import random
import statistics
import time
from typing import Any

import backdrop
from bench.emulated.costs import Cost
from bench.figures import Figure, at_most
from bench.reliability_site import emulated_site
from tests.faults.site import Site

# The shape of `bench.emulated.costs`' "sub-linear" at half its speed, so that two cores can also run the site.
_COST = Cost(80.0, 5.0)
_TRITONS = 2
LOUD, OTHERS = "loud", tuple(f"tenant-{number}" for number in range(1, 8))
_STEPS = 10
# Two batches of 16 rows take 160 ms: ten requests a second are the capacity, and each of eight tenants has an eighth.
SHARE_PER_S = 10.0 / (1 + len(OTHERS))
_LOUD_LOAD, _OTHERS_LOAD = 10.0, 0.5
_REQUEST: dict[str, Any] = {"prompt": "a beach at sunset", "steps": _STEPS, "timeout_s": 60.0}
# Rows of the denoiser, the decoder and the reward model, at 256 × 256.
_WORK = (2 * _STEPS + 2) * 256 * 256 / 1e6
_SETTINGS = {
    "BACKDROP_QUOTA_ROW_STEP_MEGAPIXELS_PER_MINUTE": f"{60 * SHARE_PER_S * _WORK:.3f}",
    "BACKDROP_QUOTA_CONCURRENT_REQUESTS": "8",
}


@dataclasses.dataclass
class Answers:
    """What became of the requests of some tenants."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    """Of those that were made."""
    refusals: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """By quota, or by reason."""

    @property
    def p99(self) -> float:
        """The 99th percentile in seconds."""
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))]


class Load:
    """Requests of the tenants at a site, each tenant's at its own rate, at both orchestrators in turn."""

    def __init__(self, site: Site, credentials: dict[str, backdrop.Credentials]) -> None:
        self._clients = {
            tenant: [backdrop.AsyncClient(each, credentials=own, retries=0) for each in site.endpoints]
            for tenant, own in credentials.items()
        }

    async def offer(self, tenant: str, per_s: float, seconds: float, answers: Answers, seed: int) -> None:
        """Sends requests at random times (Poisson) for so long, and waits for their ends."""
        chance, until = random.Random(f"{tenant} {seed}"), time.monotonic() + seconds  # noqa: S311
        async with asyncio.TaskGroup() as group:
            for number in range(10**9):
                await asyncio.sleep(chance.expovariate(per_s))
                if time.monotonic() > until:
                    return
                group.create_task(self._one(self._clients[tenant][number % 2], chance.randrange(2**31), answers))

    async def others(self, seconds: float, seed: int) -> Answers:
        """All tenants but the loud one, each at half of its share."""
        answers = Answers()
        rate = _OTHERS_LOAD * SHARE_PER_S
        await asyncio.gather(*(self.offer(tenant, rate, seconds, answers, seed) for tenant in OTHERS))
        return answers

    async def loud(self, answers: Answers) -> None:
        """The loud tenant at ten times its share, until it is cancelled."""
        await self.offer(LOUD, _LOUD_LOAD * SHARE_PER_S, 3600.0, answers, seed=0)

    async def close(self) -> None:
        """Closes the clients."""
        for clients in self._clients.values():
            for client in clients:
                await client.close()

    async def _one(self, client: backdrop.AsyncClient, seed: int, answers: Answers) -> None:
        began = time.monotonic()
        try:
            await client.generate(backdrop.TextToImage(), seed=seed, **_REQUEST)
            answers.seconds.append(time.monotonic() - began)
        except backdrop.OverloadedError as refusal:
            answers.refusals[refusal.quota or refusal.reason] += 1


async def measure(seconds: float, warm_s: float) -> tuple[Answers, Answers, Answers]:
    """The others alone, the others beside the loud tenant, and the loud tenant.

    Args:
        seconds: how long each of the two is measured.
        warm_s: how long the loud tenant runs before: it may spend a minute's work at once.
    """
    tenants = (LOUD, *OTHERS)
    async with emulated_site(_COST, tenants, tritons=_TRITONS, settings=_SETTINGS) as (site, credentials):
        load, flood = Load(site, credentials), Answers()
        try:
            await load.others(min(seconds, 5.0), seed=1)
            alone = await load.others(seconds, seed=2)
            loud = asyncio.create_task(load.loud(flood))
            await load.others(warm_s, seed=3)
            beside = await load.others(seconds, seed=2)
            loud.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loud
        finally:
            await load.close()
    return alone, beside, flood


def shares(command: str, seconds: float = 120.0, warm_s: float = 30.0) -> list[Figure]:
    """The others' 99th percentile with the loud tenant ÷ without it, and how many of them were refused."""
    alone, beside, flood = asyncio.run(measure(seconds, warm_s))
    refused = sum(beside.refusals.values())
    medians = [statistics.median(answers.seconds) for answers in (alone, beside)]
    said = (
        f"p99 {alone.p99:.2f} s without, {beside.p99:.2f} s with; medians {medians[0]:.2f} and {medians[1]:.2f} s;"
        f" {len(alone.seconds)} and {len(beside.seconds)} requests of {len(OTHERS)} tenants at half of their shares;"
        f" the loud tenant's: {len(flood.seconds)} made, refused {dict(flood.refusals)}"
    )
    name = "a tenant at 10 × its share: the others' p99 ÷ without it, over two orchestrators"
    return [
        Figure(name, round(beside.p99 / alone.p99, 3), at_most(1.2), command, said),
        Figure("a tenant at 10 × its share: requests of the others refused", refused, at_most(0), command, said),
    ]
