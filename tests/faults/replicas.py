"""Tritons that are killed, stopped and cut off while pictures are made: what callers notice."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import random
import signal

from tests.faults.load import Tally, callers, references
from tests.faults.site import Site

STEP_TIMEOUT_S = 5.0
SETTINGS = {"BACKDROP_STEP_TIMEOUT_S": str(STEP_TIMEOUT_S)}
_CALLERS = 3
_CALM_S = 0.5
# A caller is somewhere in its picture after so long.
_PAUSE_S = (0.2, 0.8)


@dataclasses.dataclass(frozen=True)
class ReplicaReport:
    """What faults of Tritons did.

    Attributes:
        faults: number of faults.
        tally: what became of the requests.
        undisturbed_s: median of a request's seconds before the first fault.
        out_s: for each fault, seconds until the replica was out of service.
        back_s: for each fault, seconds from the end of the fault until the replica was used again.
        redone: most steps of one request that were made again.
        hits: number of model calls that failed.
    """

    faults: int
    tally: Tally
    undisturbed_s: float
    out_s: tuple[float, ...]
    back_s: tuple[float, ...]
    redone: int
    hits: int

    @property
    def added_s(self) -> float:
        """The longest request's seconds more than an undisturbed one takes."""
        return max(0.0, self.tally.longest_s - self.undisturbed_s)


async def kills(site: Site, count: int) -> ReplicaReport:
    """Kills a Triton (SIGKILL) `count` times, in turn, each time when the one before is back."""

    async def kill(name: str) -> tuple[float, float]:
        site.signal(name, signal.SIGKILL)
        out_s = await site.wait_replicas(site.plan.tritons - 1)
        return out_s, await site.wait_replicas(site.plan.tritons)

    async with site.restarting():
        return await _faults(site, count, kill)


async def hangs(site: Site, count: int, stopped_s: float = 2.5) -> ReplicaReport:
    """Stops a Triton (SIGSTOP) `count` times, in turn, for at least `stopped_s` each."""

    async def hang(name: str) -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        site.signal(name, signal.SIGSTOP)
        try:
            out_s = await site.wait_replicas(site.plan.tritons - 1, timeout_s=30)
            await asyncio.sleep(stopped_s - (loop.time() - began))
        finally:
            site.signal(name, signal.SIGCONT)
        return out_s, await site.wait_replicas(site.plan.tritons)

    return await _faults(site, count, hang)


async def half_open(site: Site, count: int) -> ReplicaReport:
    """Half opens the connections to a Triton, in turn: they stay, and nothing comes through them any more."""

    async def silence(name: str) -> tuple[float, float]:
        site.proxies[name].silence()
        out_s = await site.wait_replicas(site.plan.tritons - 1, timeout_s=30)
        return out_s, await site.wait_replicas(site.plan.tritons)

    return await _faults(site, count, silence)


async def resets(site: Site, count: int) -> ReplicaReport:
    """Resets the connections to a Triton (RST), in turn."""

    async def reset(name: str) -> tuple[float, float]:
        site.proxies[name].reset()
        await asyncio.sleep(0.05)
        return 0.0, await site.wait_replicas(site.plan.tritons)

    return await _faults(site, count, reset)


async def garbage(site: Site, count: int) -> ReplicaReport:
    """Has random bytes replace what a Triton answers, in turn, until it is out of service."""

    async def spoil(name: str) -> tuple[float, float]:
        proxy = site.proxies[name]
        proxy.link = dataclasses.replace(proxy.link, garbage=True)
        try:
            out_s = await site.wait_replicas(site.plan.tritons - 1, timeout_s=30)
        finally:
            proxy.mend()
        return out_s, await site.wait_replicas(site.plan.tritons)

    return await _faults(site, count, spoil)


async def _faults(
    site: Site, count: int, fault: collections.abc.Callable[[str], collections.abc.Awaitable[tuple[float, float]]]
) -> ReplicaReport:
    dice, logged = random.Random(1), len(site.events())
    expected = await references(site.endpoints[0])
    async with callers(site.endpoints, _CALLERS, expected=expected) as calm:
        await asyncio.sleep(_CALM_S)
    out_s, back_s = [], []
    async with callers(site.endpoints, _CALLERS, expected=expected) as tally:
        for number in range(count):
            await asyncio.sleep(dice.uniform(*_PAUSE_S))
            out, back = await fault(f"triton-{number % site.plan.tritons}")
            out_s.append(out)
            back_s.append(back)
    failures = [line for line in site.events()[logged:] if line["event"] == "call failed"]
    by_request = collections.Counter(line["request_id"].partition("+")[0] for line in failures)
    return ReplicaReport(
        faults=count,
        tally=tally,
        undisturbed_s=calm.median_s,
        out_s=tuple(out_s),
        back_s=tuple(back_s),
        redone=max(by_request.values(), default=0),
        hits=len(failures),
    )
