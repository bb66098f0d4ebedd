"""Redis as the manifests configure it: ready only when it serves, and a user who may do what the orchestrator does."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from k8s import redis_auth
from tests.k8s.rendering import K8S, ROOT, of, overlay, pod
from tests.k8s.replay.images import HERE
from tests.orchestrator.cache.redis_process import running

SECRETS = K8S / "overlays" / "cpu" / "secrets"
USERS = (SECRETS / "users.acl").read_text()
ARGUMENTS = {
    "SET": 1,
    "HDEL": 1,
    "HGET": 1,
    "HSET": 2,
    "HINCRBY": 2,
    "PEXPIRE": 1,
    "ZADD": 2,
    "ZRANGE": 2,
    "ZREM": 1,
    "ZREMRANGEBYSCORE": 2,
}
SOURCES = [file.read_text() for file in (ROOT / "orchestrator").rglob("*.py")]
# What the cache calls, and every command of the scripts that Redis runs for it; with the fewest arguments.
USED = {"PING", "INFO server", "GET k", "SET k v EX 1", "EXISTS k", "EVAL x 0"} | {
    {"TIME": "TIME", "ZRANGEBYSCORE": "ZRANGEBYSCORE k 0 1"}.get(name, f"{name} k" + " 1" * ARGUMENTS.get(name, 0))
    for text in SOURCES
    for name in re.findall(r"redis\.call\('([A-Z]+)'", text)
}
REFUSED = (
    "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 1000",
    "CLIENT LIST",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "MIGRATE 127.0.0.1 1 x 0 10",
    "SWAPDB 0 1",
    "RESTORE x 0 y",
    "FLUSHALL",
    "FLUSHDB",
    "CONFIG GET *",
    "SHUTDOWN NOSAVE",
    "ACL LIST",
    "REPLICAOF no one",
    "MONITOR",
)


@pytest.fixture
def loading() -> Iterator[str]:
    """The address of a server that still reads its append-only file."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"-LOADING server is loading the dataset in memory\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield str(server.getsockname()[1])


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe"])
def test_a_server_that_loads_is_not_ready(loading: str, probe: str) -> None:
    command = pod(of(overlay("cpu"), "StatefulSet", "redis")[0])["containers"][0][probe]["exec"]["command"]
    assert command[0] == "valkey-cli"
    run = [sys.executable, str(HERE / "ping.py"), *command[1:-1], "-p", loading, command[-1]]
    assert subprocess.run(run, check=False, timeout=20).returncode != 0


def test_the_user_may_do_what_the_orchestrator_does_and_no_more() -> None:
    name, password = re.findall(r"^user (\w+) on >(\S+) ", USERS, re.M)[0]
    with running() as server:
        admin = redis.Redis.from_url(server.url)
        rules = next(line for line in USERS.splitlines() if line.startswith(f"user {name} ")).split()[2:]
        admin.execute_command("ACL", "SETUSER", name, *rules)
        user = redis.Redis.from_url(server.url.replace("://", f"://{name}:{password}@"), protocol=2, driver_info=None)
        for command in REFUSED:
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*command.split())
        assert user.info("server")
        for command in sorted(USED):
            assert admin.execute_command("ACL", "DRYRUN", name, *command.split()) in (b"OK", "OK"), command


def test_the_development_secret_is_what_the_command_writes(tmp_path: Path) -> None:
    written = redis_auth.files(dict.fromkeys(redis_auth.USERS, "for-development-only"))
    assert {file.name: file.read_text() for file in SECRETS.iterdir()} == written
    assert redis_auth.main([str(tmp_path / "auth")]) == 0
    assert {file.name for file in (tmp_path / "auth").iterdir()} == written.keys()
    passwords = re.findall(r"on >(\S+)", (tmp_path / "auth" / "users.acl").read_text())
    assert len({*passwords}) == len(redis_auth.USERS)
    assert redis_auth.main([str(tmp_path / "auth")]) == 1, "it replaces no passwords"
