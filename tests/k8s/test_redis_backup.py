"""The component `backup`: its commands copy a real Redis and restore it, and its schedule fits the alert about it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from local.errors import StartError
from local.redis import find_binary
from tests.k8s.rendering import Manifest, combine, of, pod
from tests.k8s.test_monitoring import ALERTS
from tests.k8s.test_reach import pod_passes, rules
from tests.k8s.test_redis import SECRETS, USERS
from tests.orchestrator.cache.redis_process import RedisProcess, running

REDIS = {"app.kubernetes.io/name": "redis"}
HOST = '-h "redis.$POD_NAMESPACE"'


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return combine(tmp_path_factory.mktemp("site"), "cpu", ("backup",))


class Site:
    """The volumes of both Jobs as folders, and the programs of Redis' image.

    Args:
        folder: for all of it.
        manifests: with both CronJobs.
        client: redis-cli or valkey-cli.
    """

    def __init__(self, folder: Path, manifests: list[Manifest], client: str) -> None:
        self.folder, self.manifests = folder, manifests
        self.backup, self.data = folder / "backup", folder / "data"
        self.programs = folder / "programs"
        for one in (self.backup, self.data, self.programs):
            one.mkdir()
        (self.programs / "valkey-cli").symlink_to(client)
        # The server is the checker too, under the name that its own family has.
        binary = Path(find_binary())
        family = "redis" if "redis" in binary.resolve().name else "valkey"
        (self.programs / f"{family}-check-rdb").symlink_to(binary)
        if family != "valkey":
            checker = self.programs / "valkey-check-rdb"
            checker.write_text(f'#!/bin/sh\nexec "{self.programs}/{family}-check-rdb" "$@"\n')
            checker.chmod(0o755)
        (folder / "users.acl").write_text(USERS)

    def run(self, name: str, server: RedisProcess | None = None) -> subprocess.CompletedProcess[str]:
        """The container of a CronJob, as it stands in the manifest."""
        (container,) = pod(of(self.manifests, "CronJob", name)[0])["containers"]
        (script,) = container["args"]
        script = re.sub(r"(?<![\w/])/(backup|data)\b", rf"{self.folder}/\1", script)
        script = script.replace("/run/secrets/backdrop/backup", str(SECRETS))
        if server is not None:
            assert HOST in script
            script = script.replace(HOST, f"-p {server.url.rpartition(':')[2].partition('/')[0]}")
        environment = os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        command = [*container["command"], script]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)

    def copies(self) -> list[str]:
        """The files of the backup's volume."""
        return sorted(file.name for file in self.backup.iterdir())


@pytest.fixture
def site(tmp_path: Path, manifests: list[Manifest]) -> Site:
    client = shutil.which("valkey-cli") or shutil.which("redis-cli")
    if client is None:
        pytest.skip("no client of Redis: install Debian's package `redis-tools`")
    try:
        return Site(tmp_path, manifests, client)
    except StartError as problem:
        pytest.skip(str(problem))


@pytest.fixture
def server(site: Site) -> Iterator[RedisProcess]:
    """A Redis with the users of the development Secret."""
    with running("--aclfile", str(site.folder / "users.acl"), "--repl-diskless-sync-delay", "0") as process:
        yield process


def client(server: RedisProcess) -> redis.Redis:
    url = server.url.replace("://", "://orchestrator:for-development-only@")
    return redis.Redis.from_url(url, protocol=2, driver_info=None)


def test_a_backup_restores_what_redis_had(site: Site, server: RedisProcess) -> None:
    before = client(server)
    before.set("kept", b"\x00\xff pictures", ex=3600)
    before.set("expires", b"x", px=1)
    before.zadd("index", {"member": 7.0})
    run = site.run("backup-redis", server)
    assert run.returncode == 0, run.stdout + run.stderr
    server.kill()
    (site.data / "appendonlydir").mkdir()
    run = site.run("restore-redis")
    assert run.returncode == 0, run.stdout + run.stderr
    assert len([one for one in site.data.iterdir() if one.name.startswith("replaced-")]) == 1
    # As in redis.conf of the manifests: with a log, which Redis reads instead of a dump.
    options = ("--aclfile", str(site.folder / "users.acl"), "--dir", str(site.data), "--appendonly", "yes")
    with running(*options) as again:
        after = client(again)
        assert after.get("kept") == b"\x00\xff pictures"
        assert 0 < int(after.pttl("kept")) <= 3_600_000
        assert after.zrange("index", 0, -1) == [b"member"]
        assert not after.exists("expires")


def test_the_latest_six_stay(site: Site, server: RedisProcess) -> None:
    older = [f"redis-202601{day:02}T000000Z.rdb" for day in range(1, 9)]
    for name in (*older, "redis-20260109T000000Z.rdb.partial", "notes.txt"):
        (site.backup / name).write_bytes(b"")
    assert site.run("backup-redis", server).returncode == 0
    copies = site.copies()
    assert copies[0] == "notes.txt"
    assert copies[1:6] == older[-5:]
    assert len(copies) == 7


@pytest.mark.parametrize(
    ("program", "why"), [("printf REDIS > $6", "RDB"), ("echo 'AUTH failed' >&2; exit 1", "AUTH failed")]
)
def test_a_failed_copy_fails_and_replaces_none(site: Site, server: RedisProcess, program: str, why: str) -> None:
    (site.backup / "redis-20260101T000000Z.rdb").write_bytes(b"REDIS0011")
    stub = site.programs / "valkey-cli"
    stub.unlink()
    # The sixth argument is the file.
    stub.write_text(f"#!/bin/sh\n{program}\n")
    stub.chmod(0o755)
    run = site.run("backup-redis", server)
    assert run.returncode != 0
    assert why in run.stdout + run.stderr
    assert [name for name in site.copies() if name.endswith(".rdb")] == ["redis-20260101T000000Z.rdb"]


def test_a_damaged_copy_is_not_restored(site: Site) -> None:
    assert site.run("restore-redis").returncode != 0, "there is none"
    (site.backup / "redis-20260101T000000Z.rdb").write_bytes(b"REDIS0011 damaged")
    (site.data / "appendonlydir").mkdir()
    assert site.run("restore-redis").returncode != 0
    assert [one.name for one in site.data.iterdir()] == ["appendonlydir"]


def test_its_user_copies_and_does_nothing_else(server: RedisProcess) -> None:
    url = server.url.replace("://", "://backup:for-development-only@")
    user = redis.Redis.from_url(url, protocol=2, driver_info=None)
    for command in ("GET k", "SET k v", "KEYS *", "CONFIG GET *", "REPLICAOF no one", "SHUTDOWN", "FLUSHALL"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            user.execute_command(*command.split())


def test_the_alert_is_about_this_backup(manifests: list[Manifest]) -> None:
    (job,) = of(manifests, "CronJob", "backup-redis")
    minute, *rest = job["spec"]["schedule"].split()
    assert minute.isdigit()
    assert rest == ["*", "*", "*", "*"], "hourly"
    alerts = {alert["alert"]: alert["expr"] for alert in ALERTS}
    assert f'cronjob="{job["metadata"]["name"]}"' in alerts["BackdropBackupOld"]
    # One missed run is no alarm.
    assert 2 * 3600 <= int(alerts["BackdropBackupOld"].rpartition(">")[2]) <= 6 * 3600
    assert "backup-redis" in alerts["BackdropJobFailed"]
    (claim,) = [v["persistentVolumeClaim"] for v in pod(job)["volumes"] if "persistentVolumeClaim" in v]
    assert of(manifests, "PersistentVolumeClaim", claim["claimName"])
    assert claim["claimName"] in alerts["BackdropVolumePending"]


def test_the_restore_runs_by_hand_alone_on_redis_own_volume(manifests: list[Manifest]) -> None:
    (job,) = of(manifests, "CronJob", "restore-redis")
    assert job["spec"]["suspend"]
    claims = {v["name"]: v["persistentVolumeClaim"]["claimName"] for v in pod(job)["volumes"]}
    (template,) = of(manifests, "StatefulSet", "redis")[0]["spec"]["volumeClaimTemplates"]
    assert claims["data"] == f"{template['metadata']['name']}-redis-0"


def test_it_has_redis_image_and_reaches_redis_alone(manifests: list[Manifest]) -> None:
    redis_image = pod(of(manifests, "StatefulSet", "redis")[0])["containers"][0]["image"]
    for job in of(manifests, "CronJob"):
        assert [container["image"] for container in pod(job)["containers"]] == [redis_image]
    backup = {"app.kubernetes.io/name": "backup-redis"}
    assert pod_passes(rules(manifests, "egress", backup), "to", REDIS, "", 6379)
    assert pod_passes(rules(manifests, "ingress", REDIS), "from", backup, "", 6379)
    restore = {"app.kubernetes.io/name": "restore-redis", "app.kubernetes.io/component": "job"}
    assert rules(manifests, "egress", restore) == []
