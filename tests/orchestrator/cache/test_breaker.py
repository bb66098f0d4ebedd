"""The breaker opens at once, asks in the background, and closes again."""

from __future__ import annotations

import asyncio

from orchestrator.cache.breaker import Breaker


class Other:
    """The other side."""

    def __init__(self) -> None:
        self.works, self.probes = False, 0
        self.events: list[str] = []

    async def probe(self) -> None:
        self.probes += 1
        await asyncio.sleep(0)
        if not self.works:
            raise OSError


async def test_it_opens_probes_and_closes() -> None:
    other = Other()
    breaker = Breaker(other.probe, other.events.append, first_pause_s=0.01, longest_pause_s=0.02)
    assert breaker.closed
    breaker.trip()
    breaker.trip()
    assert not breaker.closed
    await asyncio.sleep(0.1)
    assert 3 <= other.probes <= 9
    other.works = True
    await asyncio.sleep(0.05)
    assert breaker.closed
    assert other.events == ["breaker_opened", "breaker_closed"]


async def test_at_the_start_the_other_side_proves_itself_quietly() -> None:
    other = Other()
    other.works = True
    breaker = Breaker(other.probe, other.events.append)
    breaker.prove()
    assert not breaker.closed
    await asyncio.sleep(0.01)
    assert breaker.closed
    assert other.events == ["breaker_closed"]


async def test_stopping_ends_the_probing_for_good() -> None:
    other = Other()
    breaker = Breaker(other.probe, other.events.append, first_pause_s=0.001)
    breaker.trip()
    await asyncio.sleep(0.005)
    await breaker.stop()
    breaker.trip()
    probes = other.probes
    await asyncio.sleep(0.01)
    assert (breaker.closed, other.probes) == (False, probes)
