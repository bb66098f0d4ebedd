"""Which replicas there are: follows the endpoints' addresses, probes every replica, and closes those that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from orchestrator.triton.endpoints import Endpoints
from orchestrator.triton.fleet import Fleet
from orchestrator.triton.health import Health
from orchestrator.triton.replica import Replica

log = structlog.get_logger("orchestrator.triton")


class Membership:
    """Keeps the fleet equal to the endpoints.

    Args:
        fleet: whose replicas are added and removed.
        endpoints: whose addresses are followed.
        health: probes each replica for as long as it belongs to the fleet.
        connect: makes the replica of an address.
        resolve_interval_s: between two look-ups of a DNS name.
        gone: called with the address of a replica that has left, after its last call.
    """

    def __init__(
        self,
        fleet: Fleet,
        endpoints: Endpoints,
        health: Health,
        connect: Callable[[str], Replica],
        resolve_interval_s: float,
        gone: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._endpoints = endpoints
        self._health = health
        self._connect = connect
        self._resolve_interval_s = resolve_interval_s
        self._gone = gone
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connects to the addresses of the moment, and follows those that can change."""
        await self._endpoints.start()
        self._update(await self._endpoints.addresses())
        if self._endpoints.change:
            self._spawn(self._follow())

    async def close(self) -> None:
        """Stops probing and following, and closes the channels; calls in flight fail."""
        tasks = [*self._tasks, *self._probes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._endpoints.close()
        replicas = list(self._fleet.replicas.values())
        self._fleet.replicas.clear()
        self._probes.clear()
        await asyncio.gather(*(replica.close_now() for replica in replicas))

    def _update(self, addresses: frozenset[str]) -> None:
        """Adds new addresses; removes those that are gone, whose calls in flight still end."""
        for address in addresses - self._fleet.replicas.keys():
            replica = self._connect(address)
            self._fleet.replicas[address] = replica
            self._probes[address] = asyncio.create_task(self._health.watch(replica))
        for address in self._fleet.replicas.keys() - addresses:
            log.info("replica gone from the name", replica=address)
            self._probes.pop(address).cancel()
            self._spawn(self._leave(self._fleet.replicas.pop(address)))

    async def _follow(self) -> None:
        while True:
            await self._endpoints.wait_change(self._resolve_interval_s)
            self._update(await self._endpoints.addresses())

    async def _leave(self, replica: Replica) -> None:
        await replica.close()
        if replica.address not in self._fleet.replicas:
            self._gone(replica.address)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
