"""What is tried through a gateway: a stream that is silent for long, and orchestrators that stop under load."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import backdrop
from bench.emulated.costs import Cost
from tests.faults import repository
from tests.faults.load import Tally, callers
from tests.faults.site import Plan, Site
from tests.k8s.gateway.nginx import nginx
from tests.k8s.gateway.timeouts import Timeouts

_SITE = {"BACKDROP_STEP_TIMEOUT_S": "600"}
ENDS = 4
"""Stops of `ends`."""
_CALM_S = 1.0


@dataclasses.dataclass(frozen=True)
class Silence:
    """What became of one request whose stream was silent, and how long it lasted."""

    seconds: float
    problem: str


async def ask(endpoint: str) -> Silence:
    """A picture of one step, without retries: nothing is sent while its only call runs."""
    began, problem = time.monotonic(), ""
    async with backdrop.AsyncClient(endpoint, retries=0) as client:
        try:
            await client.generate(backdrop.TextToImage(), prompt="a beach", steps=1)
        except backdrop.BackdropError as failure:
            problem = f"{type(failure).__name__}: {failure}"
    return Silence(time.monotonic() - began, problem)


async def silent(folder: Path, timeouts: Sequence[Timeouts], step_s: float) -> list[Silence]:
    """One silent stream of `step_s` through each gateway, before two orchestrators that run as processes."""
    models = repository.write_quick(folder / "repository", Cost(1000 * step_s, 0.0))
    plan = Plan(models, folder, 2, 2, with_redis=False, settings=_SITE, stand_ins=True)
    async with Site(plan) as site:
        return await through(folder, site.endpoints, timeouts)


async def through(folder: Path, endpoints: Sequence[str], timeouts: Sequence[Timeouts]) -> list[Silence]:
    """One stream through a gateway for each of the timeouts, at the same time."""

    async def one(number: int, each: Timeouts) -> Silence:
        with nginx(folder / f"gateway-{number}", endpoints, each) as gateway:
            return await ask(gateway.endpoint)

    return list(await asyncio.gather(*(one(number, each) for number, each in enumerate(timeouts))))


async def ends(folder: Path, timeouts: Timeouts, *, announced: bool) -> Tally:
    """Stops one of two orchestrators after the other by SIGTERM, under a steady load through the gateway.

    Args:
        folder: for logs.
        timeouts: of the gateway.
        announced: whether the gateway learns of it before the signal, as it does during preStop; callers then have no
            retries. Otherwise they have those of the SDK.
    """
    models = repository.write_quick(folder / "repository")
    tally = Tally()
    async with Site(Plan(models, folder, 2, 2, stand_ins=True)) as site:
        with nginx(folder / "gateway", site.endpoints, timeouts) as gateway:
            async with callers([gateway.endpoint], 4, retries=0 if announced else 2) as tally:
                for number in range(ENDS):
                    which = number % 2
                    await asyncio.sleep(_CALM_S)
                    if announced:
                        gateway.lead_to([site.endpoints[1 - which]])
                        await asyncio.sleep(_CALM_S)
                    await site.restart(f"orchestrator-{which}")
                    gateway.lead_to(site.endpoints)
    return tally
