"""Endpoints: what is well formed, and names whose addresses come and go."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import numpy as np
import pytest
from prometheus_client import generate_latest

from orchestrator.telemetry.metrics import Metrics
from orchestrator.triton import PoolOptions, TritonPool
from orchestrator.triton.endpoints import Endpoints
from tests.orchestrator.triton.fake_triton import eventually, serving


@pytest.mark.parametrize(
    "endpoints", [[], [""], ["triton"], ["triton:"], [":8001"], ["triton:http"], ["dns:///triton"]]
)
def test_endpoints_that_are_not_well_formed_are_refused(endpoints: list[str]) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Endpoints(endpoints)


async def test_a_list_is_taken_as_it_is() -> None:
    endpoints = Endpoints(["a:1", "b:2"])
    assert await endpoints.addresses() == {"a:1", "b:2"}
    assert not endpoints.change


async def test_a_name_keeps_its_addresses_while_dns_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[list[tuple[int, str]] | OSError] = [
        [(socket.AF_INET, "10.0.0.1"), (socket.AF_INET6, "fd00::1")],
        OSError("no such name"),
        [],
    ]

    async def resolve(self: object, host: str, port: int, **_: object) -> list[Any]:
        assert (host, port) == ("triton", 8001)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in answer]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", resolve)
    endpoints = Endpoints(["dns:///triton:8001", "b:2"])
    assert endpoints.change
    assert await endpoints.addresses() == {"10.0.0.1:8001", "[fd00::1]:8001", "b:2"}
    assert await endpoints.addresses() == {"10.0.0.1:8001", "[fd00::1]:8001", "b:2"}
    assert await endpoints.addresses() == {"b:2"}


async def test_replicas_come_and_go_with_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.ones((1, 2), np.float32)
    async with serving(2) as servers:
        now = [frozenset({servers[0].address})]

        async def resolve(endpoint: str) -> frozenset[str]:
            return now[0]

        monkeypatch.setattr("orchestrator.triton.endpoints._resolve", resolve)
        metrics = Metrics()
        options = PoolOptions(resolve_interval_s=0.05, probe_interval_s=0.05)
        pool = TritonPool(["dns:///triton:8001"], options, observer=metrics)
        await pool.start()
        assert pool.ready_replicas == 1
        servers[0].delay_s = 0.3
        slow = asyncio.create_task(pool.infer("double", {"x": row}))
        await servers[0].began.wait()
        now[0] = frozenset({servers[1].address})
        await eventually(lambda: servers[1].address in pool._fleet.replicas and pool.ready_replicas == 1)
        assert servers[0].address not in pool._fleet.replicas
        await pool.infer("double", {"x": row})
        assert servers[1].seen == 1
        # Its channel stays open until the call that runs on it has ended.
        assert (await slow)["y"].shape == (1, 2)
        assert servers[0].seen == 1

        def exported() -> bool:
            return servers[0].address in generate_latest(metrics.registry).decode()

        # Every rollout brings other addresses, so the series of those that are gone do not stay.
        await eventually(lambda: not exported())
        assert servers[1].address in generate_latest(metrics.registry).decode()
        await pool.close()
