"""The exporter of the `monitoring` component: what its user may do, who scrapes it, and the series of the alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from k8s import redis_auth
from local import ports
from tests.k8s import scrapes
from tests.k8s.rendering import Manifest, combine, of, pod
from tests.k8s.test_images import DIGEST
from tests.k8s.test_monitoring import expressions
from tests.k8s.test_redis import USERS
from tests.orchestrator.cache.redis_process import RedisProcess, running

COMMANDS = ("PING", "INFO ALL", "LATENCY LATEST", "LATENCY HISTOGRAM", "SLOWLOG LEN")
REFUSED = ("GET k", "SET k v", "SCAN 0", "KEYS *", "EVAL x 0", "SLOWLOG GET 1", "CONFIG GET *", "CLIENT LIST", "SYNC")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return combine(tmp_path_factory.mktemp("site"), "cpu", ("monitoring",))


def exporter(manifests: list[Manifest]) -> Manifest:
    first, second = pod(of(manifests, "StatefulSet", "redis")[0])["containers"]
    assert (first["name"], second["name"]) == ("redis", "exporter"), "the first container is Redis for all other tests"
    container: Manifest = second
    return container


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """Redis with the users of the development Secret."""
    (tmp_path / "users.acl").write_text(USERS)
    with running("--aclfile", str(tmp_path / "users.acl")) as process:
        yield process


def test_its_user_reads_numbers_and_no_key(server: RedisProcess) -> None:
    url = server.url.replace("://", "://exporter:for-development-only@")
    user = redis.Redis.from_url(url, protocol=2, driver_info=None)
    for command in COMMANDS:
        user.execute_command(*command.split())
    for command in REFUSED:
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command.split())


def test_its_image_is_pinned_and_its_password_is_mounted(manifests: list[Manifest]) -> None:
    container = exporter(manifests)
    assert DIGEST.fullmatch(container["image"])
    options = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
    (mount,) = container["volumeMounts"]
    (volume,) = [v for v in pod(of(manifests, "StatefulSet", "redis")[0])["volumes"] if v["name"] == mount["name"]]
    (item,) = volume["secret"]["items"]
    assert options["redis.password-file"] == f"{mount['mountPath']}/{item['path']}"
    (secret,) = [m for m in of(manifests, "Secret") if m["metadata"]["name"] == volume["secret"]["secretName"]]
    assert item["key"] in secret["data"]
    address = options["redis.addr"].replace("://", f"://{options['redis.user']}@")
    assert address == redis_auth.EXPORTER_ADDRESS, "the name under which it looks its password up"


def test_prometheus_reaches_it(manifests: list[Manifest]) -> None:
    (monitor,) = of(manifests, "PodMonitor", "redis")
    labels = of(manifests, "StatefulSet", "redis")[0]["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    ports_by_name = {port["name"]: port["containerPort"] for port in exporter(manifests)["ports"]}
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (policy,) = of(manifests, "NetworkPolicy", "metrics")
    (selected,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert labels[selected["key"]] in selected["values"]
    assert ports_by_name[endpoint["port"]] in [port["port"] for port in policy["spec"]["ingress"][0]["ports"]]


def test_it_exports_what_alerts_and_panels_read(
    server: RedisProcess, manifests: list[Manifest], tmp_path: Path
) -> None:
    binary = shutil.which("redis_exporter") or shutil.which("prometheus-redis-exporter")
    if binary is None:
        pytest.skip("no Redis exporter: install Debian's package `prometheus-redis-exporter`")
    (port,) = ports.free_ports(1)
    address = server.url.removesuffix("/0")
    # Debian's version looks passwords up without the user, the image's version with it.
    passwords = dict.fromkeys((address, address.replace("://", "://exporter@")), "for-development-only")
    (tmp_path / "exporter.json").write_text(json.dumps(passwords))
    places = {
        "redis://127.0.0.1:6379": address,
        "/run/secrets/backdrop/exporter": str(tmp_path),
        "=:9121": f"=127.0.0.1:{port}",
    }
    arguments = exporter(manifests)["args"]
    for there, here in places.items():
        assert any(there in argument for argument in arguments)
        arguments = [argument.replace(there, here) for argument in arguments]
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        text = scrapes.get(f"http://127.0.0.1:{port}/metrics")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as health:
            assert health.status == 200
    finally:
        process.kill()
        process.wait()
    assert 'redis_exporter_last_scrape_error{err=""} 0' in text
    series = set(re.findall(r"^(redis_\w+)", text, re.M))
    read = {
        name for expression in expressions() for name in re.findall(r"\bredis_\w+", re.sub(r'"[^"]*"', "", expression))
    }
    assert read
    assert read <= series
