"""Redis that is wrong from the start or fails over, and settings that are wrong: each is told once, in a sentence."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import structlog
import yaml
from pydantic import ValidationError

import backdrop
from local.ports import free_ports
from orchestrator.api.server import Server
from orchestrator.cache import TwoTierCache
from orchestrator.settings import PREFIX, Settings, faults, unknown
from orchestrator.telemetry.metrics import Metrics
from tests.faults.proxy import Proxy
from tests.k8s.rendering import K8S, OVERLAYS, of, overlay
from tests.k8s.rendering import settings as settings_of
from tests.k8s.test_promises import main_container, serving
from tests.orchestrator.api.test_service import Running
from tests.orchestrator.cache.redis_process import RedisProcess, running, until_stored
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with running() as process:
        yield process


@asynccontextmanager
async def cache_on(url: str) -> AsyncIterator[TwoTierCache]:
    cache = TwoTierCache(url, memory_bytes=0, redis_timeout_ms=500, observer=Metrics())
    try:
        yield cache
    finally:
        await cache.close()


async def until(cache: TwoTierCache, available: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while cache.redis_available is not available:  # noqa: ASYNC110  (there is no event to wait for)
            await asyncio.sleep(0.02)


def warnings(lines: list[Any]) -> list[str]:
    return [line["why"] for line in lines if line["log_level"] == "warning"]


# redis-py issues 688 and 935: unreachable, or a wrong password, from the start.
@pytest.mark.row("redis-start")
@pytest.mark.parametrize("wrong", ["unreachable", "password", "no password"])
async def test_a_redis_that_is_wrong_from_the_start_is_told_once(server: RedisProcess, wrong: str) -> None:
    url = server.url
    with redis.Redis.from_url(url) as client:
        client.config_set("requirepass", "secret")
    if wrong == "unreachable":
        url = "redis://127.0.0.1:1/0"
    elif wrong == "password":
        url = url.replace("redis://", "redis://:other@")
    with structlog.testing.capture_logs() as lines:
        async with cache_on(url) as cache:
            await asyncio.sleep(0.6)  # several probes
            assert not cache.redis_available
            looked_up = await cache.get_or_compute("k", _compute)
            assert looked_up.source == "computed", "requests succeed"
    (why,) = warnings(lines)
    said = {"unreachable": "onnect", "password": "invalid", "no password": "uthentication"}[wrong]
    assert said in why


async def _compute() -> dict[str, np.ndarray[Any, Any]]:
    return {"a": np.ones(3, np.float32)}


# redis-py issues 460 and 435: the old primary comes back as a replica, and connections stay on it.
@pytest.mark.row("redis-failover")
async def test_after_a_failover_the_new_primary_is_used(server: RedisProcess) -> None:
    async with cache_on(server.url) as cache:
        await until(cache, True)
        with redis.Redis.from_url(server.url) as client:
            connections = client.info("stats")["total_connections_received"]
            client.replicaof("127.0.0.1", 1)
            await until_stored(cache.results.put("k", b"value", 60))
            await until(cache, False)
            client.replicaof("NO", "ONE")
            await until(cache, True)
            assert client.info("stats")["total_connections_received"] > connections, "it connected anew"
        await until_stored(cache.results.put("k", b"value", 60))
        assert await cache.results.get("k") == b"value"


@pytest.mark.row("redis-failover")
async def test_a_member_of_a_cluster_is_refused_by_name(tmp_path: Path) -> None:
    # Its default is the port + 10,000, which is beyond the last port for a high one.
    bus = str(free_ports(1)[0])
    with running("--cluster-enabled", "yes", "--cluster-port", bus, "--dir", str(tmp_path)) as member:
        with structlog.testing.capture_logs() as lines:
            async with cache_on(member.url) as cache:
                await asyncio.sleep(0.6)
                assert not cache.redis_available
        (why,) = warnings(lines)
    assert "runs in cluster mode, which is not served" in why


# posthog issue 92663, cilium issue 12551: after a scale-up long-lived clients stay on the old servers.
@pytest.mark.row("scale-out")
async def test_connections_age_and_no_call_notices(tmp_path: Path) -> None:
    server = Running(tmp_path)
    server.server = Server(server.settings.model_copy(update={"connection_age_s": 0.5}), server.service)
    await server.server.start()
    await server.open()
    async with Proxy(server.server.port) as proxy, backdrop.AsyncClient(proxy.endpoint, retries=0) as client:
        async with asyncio.timeout(PATIENCE_S):
            while proxy.connections < 3:
                assert (await client.generate(backdrop.TextToImage(), prompt="a beach", steps=2)).pictures
                await asyncio.sleep(0.05)
    await server.server.stop(server.admission, 1.0)


# kubernetes issue 70555, kubeflow issue 5695: DNS by the node is blocked, and 0.0.0.0 binds nothing on IPv6.
@pytest.mark.row("cluster-network")
@pytest.mark.parametrize("name", OVERLAYS)
def test_manifests_allow_the_nodes_dns_and_listen_on_ipv6(name: str) -> None:
    manifests = overlay(name)
    policy = next(m for m in of(manifests, "NetworkPolicy") if m["metadata"]["name"] == "orchestrator")
    dns = next(rule for rule in policy["spec"]["egress"] if {"protocol": "UDP", "port": 53} in rule["ports"])
    assert {"ipBlock": {"cidr": "169.254.20.10/32"}} in dns["to"]
    values = settings_of(manifests)
    assert values["BACKDROP_LISTEN"].startswith("[::]:")
    assert values["BACKDROP_METRICS_LISTEN"].startswith("[::]:")
    assert "--grpc-address=[::]" in main_container(serving(manifests, "triton"))["args"]


@pytest.mark.row("cluster-network")
async def test_the_wildcard_of_ipv6_takes_ipv4_too(tmp_path: Path) -> None:
    server = Running(tmp_path)
    server.server = Server(server.settings.model_copy(update={"listen": "[::]:0"}), server.service)
    await server.server.start()
    await server.open()
    async with backdrop.AsyncClient(f"127.0.0.1:{server.server.port}", retries=0) as client:
        assert await client.ready()
    await server.server.stop(server.admission, 1.0)


@pytest.mark.row("redis-start")
def test_an_alert_fires_while_redis_is_not_used() -> None:
    rules = yaml.safe_load((K8S / "components" / "monitoring" / "rules.yaml").read_text())["spec"]["groups"]
    alerts = {rule["alert"]: rule["expr"] for group in rules for rule in group["rules"] if "alert" in rule}
    assert alerts["BackdropCacheDown"] == "min by (namespace, pod) (backdrop_redis_available) == 0"
    assert '"backdrop_redis_available"' in (ROOT / "orchestrator" / "gauges.py").read_text()


def settings(**changes: Any) -> Settings:
    return Settings(**{"triton_endpoints": "127.0.0.1:8001", "repository": Path(), **changes})


def sentences(**changes: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    return faults(caught.value)


# Every setting with a value that it cannot have, and what the sentence must say.
WRONG: dict[str, list[tuple[Any, str]]] = {
    "listen": [("50061", "host:port"), ("host:", "host:port"), ("::1:50061", "brackets"), ("h:99999", "host:port")],
    "metrics_listen": [("9090", "host:port"), (":9090", "host:port"), ("::1:9090", "brackets")],
    "triton_endpoints": [
        ("", "at least one"), ("triton", "host:port"), ("http://triton:8001", "host:port"), ("::1:8001", "brackets"),
        ("kubernetes:///triton:8001", "no namespace"),
    ],
    "redis_url": [
        ("redis+sentinel://h:1/m", "Sentinel is not served"), ("sentinel://h:1", "Sentinel is not served"),
        ("redis+cluster://h:1", "Redis Cluster is not served"), ("h:6379", "redis://"), ("http://h:6379", "redis://"),
        ("redis://", "no host"), ("redis://h:port", "no URL"), ("redis://h:1/name", "no number"),
    ],
    "otlp_endpoint": [("collector:4318", "pattern")],
    "log_level": [("loud", "pattern")],
    "log_format": [("xml", "pattern")],
    "shared_memory": [("yes", "'off', 'auto' or 'on'")],
    "shared_memory_prefix": [("other_", "pattern")],
    "reflection": [("perhaps", "boolean")],
    "health_listen": [("50062", "host:port"), (":50062", "host:port"), ("::1:50062", "brackets")],
    "allow_anonymous": [("perhaps", "boolean")],
    "allow_plaintext_tokens": [("perhaps", "boolean")],
    "tenant_quotas": [
        ("acme=8", "JSON"), ("[1]", "JSON"), ('{"acme": 8}', "acme"), ('{"acme": {"requests": 8}}', "acme.requests"),
        ('{"acme": {"stored_bytes": 0.5}}', "acme.stored_bytes"), ('{"acme": {"stored_bytes": -1}}', "from 0 on"),
    ],
}  # fmt: skip
# Whatever text they hold is checked against the repository or the file system, and refused there.
ELSEWHERE = {
    *("default_pipeline", "repository", "redis_password_file", "audit_log"),
    *("tls_cert_file", "tls_key_file", "tls_client_ca_file", "token_keys_file", "access_file", "repository_keys_file"),
}


@pytest.mark.row("settings")
@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_in_one_sentence_what_is_wrong(name: str) -> None:
    if name in ELSEWHERE:
        return
    kind = Settings.model_fields[name].annotation
    cases = WRONG.get(name) or {int: [("many", "integer"), (-1, "-1"), ("1.5", "integer")],
                                float: [("long", "number"), (-1, "-1"), ("nan", "finite"), ("inf", "finite")]}[kind]  # type: ignore[index]  # fmt: skip
    for value, said in cases:
        (sentence,) = sentences(**{name: value})
        assert sentence.startswith(f"{PREFIX}{name.upper()}: ")
        assert said in sentence
        assert "\n" not in sentence


def test_right_addresses_are_taken() -> None:
    for listen in ("[::]:50061", "0.0.0.0:50061", "localhost:0", "unix:/run/backdrop.sock"):
        assert settings(listen=listen, allow_anonymous=True).listen == listen
    for url in ("redis://h:6379/0", "rediss://user:word@h/1", "unix:///run/redis.sock", "redis://[::1]:6379"):
        assert settings(redis_url=url).redis_url == url
    assert settings(triton_endpoints="[::1]:8001, dns:///t:1").triton_endpoints


@pytest.mark.row("settings")
def test_variables_that_are_no_setting_are_named_with_the_one_that_is_meant() -> None:
    names = ["BACKDROP_MAX_RUNING", "BACKDROP_LISTEN", "BACKDROP_ENDPOINT", "PATH", "BACKDROP_COLOUR_OF_SKY"]
    assert unknown(names) == [
        "BACKDROP_COLOUR_OF_SKY is no setting",
        "BACKDROP_MAX_RUNING is no setting; is BACKDROP_MAX_RUNNING meant?",
    ]


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    """The orchestrator as a process that ends by itself."""
    values = {"BACKDROP_TRITON_ENDPOINTS": "127.0.0.1:1", "BACKDROP_REPOSITORY": "triton_repo", **environment}
    return subprocess.run(
        [sys.executable, "-m", "orchestrator"],
        cwd=ROOT, env={**os.environ, **values}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.row("settings")
def test_a_wrong_setting_ends_the_process_with_one_sentence() -> None:
    done = started(BACKDROP_TRITON_ENDPOINTS="triton")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("BACKDROP_TRITON_ENDPOINTS: 'triton' is not a Triton endpoint")


@pytest.mark.row("settings")
def test_a_taken_port_ends_the_process_with_one_sentence_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = started(BACKDROP_LISTEN="127.0.0.1:0", BACKDROP_METRICS_LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"BACKDROP_METRICS_LISTEN is 127.0.0.1:{port}" in done.stderr
