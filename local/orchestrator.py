"""The orchestrator for one machine: a child process on loopback that uses the given Tritons and Redis."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.health import serving
from local.supervisor import Service

ROOT = Path(__file__).resolve().parents[1]


def service(
    name: str,
    repository: Path,
    endpoint: str,
    metrics: str,
    log_folder: Path,
    *,
    tritons: Sequence[str] = (),
    redis_url: str = "",
    settings: Mapping[str, str] | None = None,
) -> Service:
    """An orchestrator that listens at `endpoint` and serves its metrics at `metrics`, both host:port.

    Without `tritons` or `redis_url` the launcher's environment names those that run elsewhere. `settings` are further
    environment variables.
    """
    shm_prefix = f"backdrop_{os.getpid()}_{secrets.token_hex(4)}_"
    environment = {
        "BACKDROP_LISTEN": endpoint,
        "BACKDROP_METRICS_LISTEN": metrics,
        "BACKDROP_REPOSITORY": str(repository.resolve()),
        "BACKDROP_SHARED_MEMORY_PREFIX": shm_prefix,
    }
    if tritons:
        environment["BACKDROP_TRITON_ENDPOINTS"] = ",".join(tritons)
    if redis_url:
        environment["BACKDROP_REDIS_URL"] = redis_url
    return Service(
        name=name,
        command=(sys.executable, "-m", "orchestrator"),
        endpoint=endpoint,
        log=log_folder / f"{name}.log",
        ready=lambda: serving(endpoint),
        environment=environment | dict(settings or {}),
        working_folder=ROOT,
        start_timeout_s=120.0,
        grace_s=20.0,
        shm_prefix=shm_prefix,
    )
