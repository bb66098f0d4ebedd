"""The shipped timeouts of the gateway: one source for every proxy, and what a proxy with them does to real streams."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import backdrop
from orchestrator.api import server
from tests.faults.load import callers
from tests.k8s.gateway import trials
from tests.k8s.gateway.functions import two
from tests.k8s.gateway.nginx import nginx
from tests.k8s.gateway.timeouts import Timeouts, gateways, seconds, source
from tests.k8s.rendering import Manifest, of

TIMEOUT_S = inspect.signature(backdrop.AsyncClient).parameters["timeout_s"].default


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return gateways(tmp_path_factory.mktemp("gateway") / "site")


@pytest.fixture(scope="module")
def shipped(rendered: list[Manifest]) -> Timeouts:
    return source(rendered)


def of_proxies(manifests: list[Manifest]) -> list[Timeouts]:
    """What each proxy is told; a bound that a proxy lacks is that of the route."""
    route = source(manifests)
    (envoy,), (gke,), (aws,) = (
        of(manifests, kind) for kind in ("BackendTrafficPolicy", "GCPBackendPolicy", "LoadBalancerConfiguration")
    )
    http = envoy["spec"]["timeout"]["http"]
    (idle,) = aws["spec"]["loadBalancerAttributes"]
    assert idle["key"] == "idle_timeout.timeout_seconds"
    assert http["requestTimeout"] == http["maxStreamDuration"]
    return [
        Timeouts(seconds(http["requestTimeout"]), seconds(http["streamIdleTimeout"])),
        dataclasses.replace(route, stream_s=gke["spec"]["default"]["timeoutSec"]),
        dataclasses.replace(route, silence_s=int(idle["value"])),
    ]


def test_every_proxy_has_the_timeouts_of_the_route(rendered: list[Manifest], shipped: Timeouts, tmp_path: Path) -> None:
    assert of_proxies(rendered) == [shipped] * 3
    patch = '[{"op": "replace", "path": "/metadata/annotations/backdrop.dev~1longest-%s", "value": "%s"}]'
    changed = gateways(tmp_path / "site", patch % ("silence", "777s"))
    assert of_proxies(changed) == [dataclasses.replace(shipped, silence_s=777)] * 3
    (gateway,) = of(rendered, "Gateway")
    named = gateway["spec"]["infrastructure"]["parametersRef"]
    assert of(rendered, named["kind"], named["name"])


def test_timeouts_are_longer_than_what_callers_wait(shipped: Timeouts) -> None:
    assert shipped.silence_s > TIMEOUT_S
    # A stream may be as long as the orchestrator itself lets it be.
    assert ("grpc.max_connection_age_grace_ms", 1000 * shipped.stream_s) in server._age_options(300.0)


async def test_a_silent_stream_passes_with_the_shipped_timeouts_alone(shipped: Timeouts, tmp_path: Path) -> None:
    async with two(tmp_path, 1.5) as both:
        endpoints = [each.endpoint for each in both]
        passed, cut = await trials.through(tmp_path, endpoints, [shipped, dataclasses.replace(shipped, silence_s=1)])
    assert passed.problem == ""
    assert passed.seconds >= 1.5
    assert cut.problem
    assert cut.seconds >= 1.0
    with nginx(tmp_path / "again", endpoints, shipped) as gateway:
        read = re.findall(r"(\w+_timeout) (\d+)s;", gateway.effective())
    assert {int(value) for _, value in read} == {shipped.silence_s}
    assert "grpc_read_timeout" in dict(read)


async def test_an_orchestrator_that_drains_loses_no_request(shipped: Timeouts, tmp_path: Path) -> None:
    async with two(tmp_path, 0.05) as both:
        endpoints = [each.endpoint for each in both]
        with nginx(tmp_path / "gateway", endpoints, shipped) as gateway:
            async with callers([gateway.endpoint], 4, retries=2) as tally:
                await asyncio.sleep(0.3)
                await both[0].drain()
                await asyncio.sleep(0.3)
    assert tally.failed == []
    assert tally.made > 0


@pytest.mark.full
async def test_a_stream_of_more_than_a_minute_passes(shipped: Timeouts, tmp_path: Path) -> None:
    # The orchestrator pings the proxy every 20 s, which nginx counts and others do not: the short bound is below that.
    passed, cut = await trials.silent(tmp_path, [shipped, dataclasses.replace(shipped, silence_s=15)], 63.0)
    assert passed.problem == ""
    assert passed.seconds >= 63.0
    assert cut.problem
    assert 15.0 <= cut.seconds < 60.0


@pytest.mark.full
@pytest.mark.parametrize("announced", [True, False])
async def test_sigterm_loses_no_request(shipped: Timeouts, tmp_path: Path, announced: bool) -> None:
    tally = await trials.ends(tmp_path, shipped, announced=announced)
    assert tally.failed == []
    assert tally.made > 50
