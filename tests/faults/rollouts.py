"""Tritons and orchestrators that are restarted one after another at 70 % load, as a rollout does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses

from tests.faults.load import Tally, callers
from tests.faults.site import Site

_AT_ONCE = 2
_PAUSE_S = 0.5


@dataclasses.dataclass(frozen=True)
class RolloutReport:
    """What became of the requests while `restarts` services were restarted."""

    restarts: int
    tally: Tally


async def rollouts(site: Site, count: int) -> RolloutReport:
    """Restarts every Triton and every orchestrator `count` times; callers use the SDK as it is, with its retries.

    A caller has two orchestrators behind one name in the cluster. Here callers of each orchestrator pause while it is
    away, as a load balancer that follows readiness does for them.
    """
    restarts, tallies = 0, list[Tally]()
    for _ in range(count):
        for name in [f"triton-{index}" for index in range(site.plan.tritons)]:
            async with callers(site.endpoints, _AT_ONCE, retries=2) as tally:
                await asyncio.sleep(_PAUSE_S)
                await site.restart(name)
                await site.wait_replicas(site.plan.tritons)
            tallies.append(tally)
            restarts += 1
        for index in range(site.plan.orchestrators):
            others = [endpoint for number, endpoint in enumerate(site.endpoints) if number != index]
            async with contextlib.AsyncExitStack() as stack:
                elsewhere = await stack.enter_async_context(callers(others, _AT_ONCE, retries=2))
                async with callers([site.endpoints[index]], _AT_ONCE, retries=2) as here:
                    await asyncio.sleep(_PAUSE_S)
                # Its last requests have just been sent, or are being answered, when it is told to stop.
                await site.restart(f"orchestrator-{index}")
            tallies += [elsewhere, here]
            restarts += 1
    return RolloutReport(restarts, Tally([one for tally in tallies for one in tally.outcomes]))
