"""`dns:///` with many addresses: calls go to all in turn, and follow the set when it changes, with nobody's restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from backdrop import AsyncClient
from local.ports import free_ports
from orchestrator.api.server import _age_options
from tests.field.names import Names, name_server
from tests.field.test_clients import Server

ADDRESSES = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


class Site:
    """Servers on one port of several addresses, behind one name."""

    def __init__(self, names: Names, port: int) -> None:
        self.names = names
        self.port = port
        self.servers: dict[str, Server] = {}

    @property
    def endpoint(self) -> str:
        """The name at this site's name server."""
        return f"dns://127.0.0.1:{self.names.port}/orchestrator.test:{self.port}"

    async def add(self, address: str, age_s: float = 0) -> None:
        """Starts a server."""
        self.servers[address] = Server(*_age_options(age_s))
        host = f"[{address}]" if ":" in address else address
        await self.servers[address].start(f"{host}:{self.port}")

    async def call_until_all(self, client: AsyncClient, *addresses: str) -> None:
        """Calls until every one of these servers has had a call since now; no call may fail."""
        before = {address: self.servers[address].calls for address in addresses}
        async with asyncio.timeout(30):
            while any(self.servers[address].calls == count for address, count in before.items()):
                await client.info()
                await asyncio.sleep(0.02)


@asynccontextmanager
async def site(*addresses: str, age_s: float = 0) -> AsyncIterator[Site]:
    async with name_server(*addresses) as names:
        running = Site(names, free_ports(1)[0])
        for address in addresses:
            await running.add(address, age_s)
        try:
            yield running
        finally:
            for server in running.servers.values():
                await server.stop()


@pytest.mark.row("scale-out")
async def test_every_address_of_a_name_gets_calls() -> None:
    async with site(*ADDRESSES) as running, AsyncClient(running.endpoint, retries=0) as client:
        await running.call_until_all(client, *ADDRESSES)
        counts = {address: server.calls for address, server in running.servers.items()}
        for _ in range(30):
            await client.info()
        grown = [running.servers[address].calls - count for address, count in counts.items()]
        assert grown == [10, 10, 10], "in turn"


@pytest.mark.row("cluster-network")
@pytest.mark.parametrize("addresses", [("::1",), ("::1", "127.0.0.2")])
async def test_a_name_may_have_addresses_of_ipv6(addresses: tuple[str, ...]) -> None:
    async with site(*addresses) as running, AsyncClient(running.endpoint, retries=0) as client:
        await running.call_until_all(client, *addresses)


@pytest.mark.row("scale-out")
async def test_a_new_address_gets_calls_once_connections_have_aged() -> None:
    """No server fails and no client restarts: what a scale-up is."""
    async with site("127.0.0.1", age_s=0.5) as running, AsyncClient(running.endpoint, retries=0) as client:
        await running.call_until_all(client, "127.0.0.1")
        await running.add("127.0.0.2", age_s=0.5)
        running.names.addresses = ("127.0.0.1", "127.0.0.2")
        await running.call_until_all(client, "127.0.0.1", "127.0.0.2")


@pytest.mark.row("scale-out")
async def test_without_ageing_a_new_address_gets_none_which_is_why_connections_age() -> None:
    async with site("127.0.0.1") as running, AsyncClient(running.endpoint, retries=0) as client:
        await running.call_until_all(client, "127.0.0.1")
        await running.add("127.0.0.2")
        running.names.addresses = ("127.0.0.1", "127.0.0.2")
        for _ in range(60):
            await client.info()
            await asyncio.sleep(0.02)
        assert running.servers["127.0.0.2"].calls == 0


@pytest.mark.row("scale-out")
async def test_when_the_whole_set_is_replaced_at_once_the_new_one_is_found_within_seconds() -> None:
    """Names are looked up once a second at most, so that an outage does not become one of the name servers."""
    async with site("127.0.0.1", "127.0.0.2") as running, AsyncClient(running.endpoint) as client:
        await running.call_until_all(client, "127.0.0.1", "127.0.0.2")
        await running.add("127.0.0.3")
        running.names.addresses = ("127.0.0.3",)
        for address in ("127.0.0.1", "127.0.0.2"):
            await running.servers.pop(address).stop()
        questions = running.names.questions
        await client.wait_ready(10.0)
        await running.call_until_all(client, "127.0.0.3")
        assert running.names.questions > questions, "the name was looked up again"


@pytest.mark.row("scale-out")
async def test_a_name_without_addresses_is_unreachable_and_works_once_it_has_some() -> None:
    async with site() as running, AsyncClient(running.endpoint, retries=0) as client:
        assert not await client.ready(1.0)
        await running.add("127.0.0.1")
        running.names.addresses = ("127.0.0.1",)
        await client.wait_ready(20.0)
