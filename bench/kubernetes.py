"""Marks of the manifests: `python -m bench.kubernetes [MARK …]` writes docs/figures/kubernetes.json.

`replay` and `capacity` start local clusters and want the machine to themselves; `answers` takes half an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import kubernetes_runs as runs
from bench.figures import Figure, record
from tests.k8s import checking
from tests.k8s.rendering import OVERLAYS, combinations, combine, overlay
from tests.k8s.test_builds import VERSIONS, invalid

AREA = "kubernetes"
_COMMAND = "python -m bench.kubernetes"


def builds() -> Figure:
    """Overlays and combinations that kubectl does not render."""
    failed, tried = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, components) in enumerate([*((name, ()) for name in OVERLAYS), *combinations()]):
            tried += 1
            try:
                combine(Path(folder) / str(number), name, components)
            except AssertionError as problem:
                failed.append(f"{name} {components}: {problem}")
    return Figure(
        "overlays and component combinations that kubectl does not build", len(failed), 0, "lower",
        f"{_COMMAND} builds", spread=f"{tried} built", why="; ".join(failed),
    )  # fmt: skip


def valid() -> Figure:
    """Errors of kubernetes-validate --strict."""
    found = [
        f"{version} {line}" for version in VERSIONS for name in OVERLAYS for line in invalid(overlay(name), version)
    ]
    checked = sum(len(overlay(name)) for name in OVERLAYS) * len(VERSIONS)
    return Figure(
        "errors of kubernetes-validate --strict", len(found), 0, "lower", f"{_COMMAND} valid",
        spread=f"{checked} manifests, Kubernetes {' and '.join(VERSIONS)}", why="; ".join(found),
    )  # fmt: skip


def discovery() -> Figure:
    """Slowest of 20 changes, from the API server's event to the new set."""
    slowest = asyncio.run(_changes(20))
    return Figure(
        "seconds until a changed set of pods is used", round(slowest, 4), 2, "lower", f"{_COMMAND} discovery",
        spread="slowest of 20 changes, the real client over TLS",
    )  # fmt: skip


async def _changes(count: int) -> float:
    import os

    from kubernetes.aio.config import incluster_config

    from orchestrator.triton.endpoints import Endpoints
    from tests.k8s import certificates
    from tests.k8s.api_server import ApiServer, endpoint

    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        certificate, tls = certificates.make(Path(folder), "127.0.0.1")
        (Path(folder) / "token").write_text("token")
        incluster_config.SERVICE_TOKEN_FILENAME = str(Path(folder) / "token")
        incluster_config.SERVICE_CERT_FILENAME = str(certificate)
        api = ApiServer()
        await api.start(tls=tls)
        os.environ |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": api.url.rpartition(":")[2]}
        endpoints = Endpoints(["kubernetes:///triton.backdrop:8001"])
        await endpoints.start()
        await api.watched()
        for change in range(count):
            began = time.monotonic()
            api.put("triton", [endpoint(f"10.0.0.{change + 1}")])
            while await endpoints.addresses() != {f"10.0.0.{change + 1}:8001"}:
                await endpoints.wait_change(5)
            slowest = max(slowest, time.monotonic() - began)
        await endpoints.close()
        await api.stop()
    return slowest


def policies() -> Figure:
    """What checkov fails or skips, over every overlay and combination."""
    with tempfile.TemporaryDirectory() as folder:
        found = checking.everything(Path(folder))
    wrong = [*found.failed, *found.skipped]
    return Figure(
        "checks of checkov that failed or were skipped", len(wrong), 0, "lower", f"{_COMMAND} policies",
        spread=f"{found.passed} passed over {len(list(combinations())) + len(OVERLAYS)} renderings",
        why="; ".join(wrong[:3]),
    )  # fmt: skip


MARKS: dict[str, Callable[[], Figure | list[Figure]]] = {
    "builds": builds,
    "valid": valid,
    "policies": policies,
    "discovery": discovery,
    "replay": runs.replay,
    "network": runs.network,
    "capacity": runs.capacity,
    "answers": runs.answers,
}


def main() -> None:
    """Measures the marks that are named, or all."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("marks", nargs="*", default=list(MARKS), metavar="|".join(MARKS))
    for name in parser.parse_args().marks:
        found = MARKS[name]()
        record(AREA, *(found if isinstance(found, list) else [found]))


if __name__ == "__main__":
    main()
