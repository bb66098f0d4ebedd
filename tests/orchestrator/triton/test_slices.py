"""Following a Service: against an API server that drops, forgets, dawdles and refuses, by the real client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.triton import PoolOptions, TritonPool
from orchestrator.triton import slices as slices_module
from orchestrator.triton.endpoints import Endpoints
from orchestrator.triton.slices import ready
from tests.k8s import certificates
from tests.k8s.api_server import ApiServer, endpoint
from tests.orchestrator.triton.fake_triton import eventually, serving
from tests.patience import PATIENCE_S

ENDPOINT = "kubernetes:///triton.backdrop:8001"


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    """The API server, and an environment like a pod's in its cluster."""
    incluster = pytest.importorskip("kubernetes.aio.config.incluster_config", reason="no kubernetes client")
    # Imported before the clock runs: it takes seconds, once.
    pytest.importorskip("kubernetes.aio.client.api.discovery_v1_api")
    certificate, tls = certificates.make(tmp_path, "127.0.0.1")
    token = tmp_path / "token"
    token.write_text("token-of-the-pod")
    server = ApiServer()
    server.put("triton-a", [endpoint("10.0.0.1"), endpoint("10.0.0.2")])
    await server.start(tls=tls)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    monkeypatch.setattr(incluster, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster, "SERVICE_CERT_FILENAME", str(certificate))
    yield server
    await server.stop()


@pytest.fixture
async def endpoints(api: ApiServer) -> AsyncIterator[Endpoints]:
    """What follows it, with the first answer in."""
    following = Endpoints([ENDPOINT])
    await following.start()
    assert await following.addresses() == {"10.0.0.1:8001", "10.0.0.2:8001"}
    yield following
    await following.close()


async def becomes(endpoints: Endpoints, expected: set[str], within_s: float = PATIENCE_S) -> float:
    """Waits as the pool does; returns how long it took."""
    began = time.monotonic()
    async with asyncio.timeout(within_s):
        while await endpoints.addresses() != expected:
            await endpoints.wait_change(60)
    return time.monotonic() - began


def dns_says(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], set[str]]) -> None:
    async def resolve(self: object, host: str, port: int, **_: object) -> list[Any]:
        assert host == "triton.backdrop"
        return [(2, 1, 6, "", (address, port)) for address in answer()]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", resolve)


def no_dns() -> set[str]:
    raise OSError("no such name")


async def test_pods_come_and_go(api: ApiServer, endpoints: Endpoints) -> None:
    api.put("triton-a", [endpoint("10.0.0.1"), endpoint("10.0.0.3")])
    await becomes(endpoints, {"10.0.0.1:8001", "10.0.0.3:8001"})
    api.put("triton-b", [endpoint("10.0.0.4")])
    await becomes(endpoints, {"10.0.0.1:8001", "10.0.0.3:8001", "10.0.0.4:8001"})
    api.delete("triton-a")
    await becomes(endpoints, {"10.0.0.4:8001"})
    assert api.lists == 1, "one list, and then events alone"
    assert set(api.tokens) == {"bearer token-of-the-pod"}


async def test_a_pod_that_terminates_is_left_at_once(api: ApiServer, endpoints: Endpoints) -> None:
    api.put("triton-a", [endpoint("10.0.0.1"), endpoint("10.0.0.2", ready=False, terminating=True)])
    await becomes(endpoints, {"10.0.0.1:8001"})


async def test_a_cut_watch_goes_on_where_it_was(api: ApiServer, endpoints: Endpoints) -> None:
    await api.watched()
    api.bookmark()
    await asyncio.sleep(0.1)  # for the bookmark to arrive
    api.drop()
    api.put("triton-a", [endpoint("10.0.0.9")])
    await becomes(endpoints, {"10.0.0.9:8001"})
    assert api.lists == 1, "nothing was missed, so nothing is read again"
    assert int(api.watches[-1]) > int(api.watches[0]), "the bookmark moved it on"


async def test_a_watch_that_ends_by_itself_is_taken_up_from_the_last_version(
    api: ApiServer, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.watched()
    monkeypatch.setattr(slices_module, "_WATCH_S", 1)
    api.drop()  # the next watch asks for 1 s
    await eventually(lambda: len(api.watches) >= 3, within_s=6)
    lists = api.lists
    api.bookmark()
    await eventually(lambda: api.watches[-1] == str(api.version), within_s=6)
    assert api.lists == lists, "a bookmark is as good as a list"


async def test_versions_that_are_gone_are_listed_again(api: ApiServer, endpoints: Endpoints) -> None:
    await api.watched()
    api.silent = True
    api.put("triton-a", [endpoint("10.0.0.5")])
    api.forget()
    api.silent = False
    api.drop()
    await becomes(endpoints, {"10.0.0.5:8001"})
    assert api.lists == 2


async def test_a_slow_watch_in_pieces_is_read(api: ApiServer, endpoints: Endpoints) -> None:
    api.delay_s, api.chunk = 0.5, 7
    api.put("triton-a", [endpoint("10.0.0.6")])
    await becomes(endpoints, {"10.0.0.6:8001"})


async def test_a_slice_longer_than_a_buffer_is_read(api: ApiServer, endpoints: Endpoints) -> None:
    pods = [endpoint(f"10.1.{n // 250}.{n % 250}") for n in range(1000)]
    api.put("triton-a", pods)
    await becomes(endpoints, {f"{pod['addresses'][0]}:8001" for pod in pods})


async def test_a_silent_watch_is_given_up(
    api: ApiServer, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.watched()
    monkeypatch.setattr(slices_module, "_WATCH_S", 1)
    api.silent = True
    api.drop()
    await eventually(lambda: len(api.watches) >= 2)
    api.put("triton-a", [endpoint("10.0.0.7")])
    api.silent = False
    await becomes(endpoints, {"10.0.0.7:8001"})


async def test_without_the_api_dns_is_asked(
    api: ApiServer, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    dns_says(monkeypatch, lambda: {"10.0.0.8"})
    api.refuses = 503
    api.drop()
    await becomes(endpoints, {"10.0.0.8:8001"})
    api.refuses = 0
    await becomes(endpoints, {"10.0.0.1:8001", "10.0.0.2:8001"})


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_nothing_is_forgotten_while_nobody_answers(
    api: ApiServer, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    dns_says(monkeypatch, no_dns)
    api.refuses = status
    api.drop()
    before = len(api.tokens)
    await eventually(lambda: len(api.tokens) >= before + 2)
    assert await endpoints.addresses() == {"10.0.0.1:8001", "10.0.0.2:8001"}


async def test_outside_a_cluster_dns_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kubernetes.aio", reason="no kubernetes client")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    dns_says(monkeypatch, lambda: {"10.0.0.8"})
    endpoints = Endpoints([ENDPOINT])
    await endpoints.start()
    assert await endpoints.addresses() == {"10.0.0.8:8001"}
    await endpoints.close()


async def test_the_pool_uses_a_changed_set_at_once(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.ones((1, 2), np.float32)
    async with serving(2) as servers:
        ports = {f"10.0.0.{n}:8001": server.address for n, server in enumerate(servers, 1)}

        def mapped(item: Mapping[str, Any], port: int) -> frozenset[str]:
            return frozenset(ports[address] for address in ready(item, port))

        monkeypatch.setattr(slices_module, "ready", mapped)
        api.put("triton-a", [endpoint("10.0.0.1")])
        # Long intervals: neither a look at DNS nor a probe may help.
        pool = TritonPool([ENDPOINT], PoolOptions(resolve_interval_s=60, probe_interval_s=60))
        await pool.start()
        await pool.infer("double", {"x": row})
        assert servers[0].seen == 1
        began = time.monotonic()
        api.put("triton-a", [endpoint("10.0.0.1", ready=False, terminating=True), endpoint("10.0.0.2")])
        while servers[1].seen == 0:
            await pool.infer("double", {"x": row})
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < PATIENCE_S, "long before DNS or a probe"
        await pool.close()


def test_what_a_slice_says() -> None:
    pods = [endpoint("fd00::1"), endpoint("fd00::2", ready=False), {"addresses": ["fd00::3"]}]
    assert ready({"addressType": "IPv6", "endpoints": pods}, 1) == {"[fd00::1]:1", "[fd00::3]:1"}
    assert ready({"addressType": "IPv4", "endpoints": None}, 1) == frozenset()


@pytest.mark.parametrize("bad", ["kubernetes:///triton:8001", "kubernetes:///.backdrop:8001", "kubernetes:///triton.b"])
def test_a_service_needs_a_namespace_and_a_port(bad: str) -> None:
    with pytest.raises(ValueError, match=r"is not a Triton endpoint|no namespace"):
        Endpoints([bad])
