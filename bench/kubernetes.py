"""Marks of the manifests: `python -m bench.kubernetes [NAME …]` writes docs/figures/kubernetes.json.

`replay`, `smoke` and `capacity` start local clusters and want the machine to themselves; `answers` takes half an hour.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import checks, cluster_marks, kubernetes_gateway, kubernetes_install
from bench.capacity import figures as capacity_figures
from bench.figures import ROOT, Figure, at_most
from tests.k8s import checking
from tests.k8s.rendering import OVERLAYS, combinations, combine, overlay
from tests.k8s.replay.askers import asking
from tests.k8s.replay.cluster import Replay
from tests.k8s.test_builds import VERSIONS, invalid
from tests.k8s.test_replay import FAST, PRODUCT

AREA = "kubernetes"
_COMMAND = "python -m bench.kubernetes"


def builds() -> list[Figure]:
    """Overlays and combinations that kubectl does not render."""
    failed, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, components) in enumerate([*((name, ()) for name in OVERLAYS), *combinations()]):
            count += 1
            try:
                combine(Path(folder) / str(number), name, components)
            except AssertionError as problem:
                failed.append(f"{name} {components}: {problem}")
    name, mark = "overlays and component combinations that kubectl does not build", at_most(0, "; ".join(failed))
    return [Figure(name, len(failed), mark, f"{_COMMAND} builds", f"{count} built")]


def valid() -> list[Figure]:
    """Errors of kubernetes-validate --strict."""
    errors = [
        f"{version} {line}" for version in VERSIONS for name in OVERLAYS for line in invalid(overlay(name), version)
    ]
    count = sum(len(overlay(name)) for name in OVERLAYS) * len(VERSIONS)
    spread = f"{count} manifests, Kubernetes {' and '.join(VERSIONS)}"
    mark = at_most(0, "; ".join(errors))
    return [Figure("errors of kubernetes-validate --strict", len(errors), mark, f"{_COMMAND} valid", spread)]


def policies() -> list[Figure]:
    """Checks of checkov that fail or are skipped, over every overlay and combination."""
    with tempfile.TemporaryDirectory() as folder:
        report = checking.everything(Path(folder))
    wrong = [*report.failed, *report.skipped]
    spread = f"{report.passed} passed over {len(list(combinations())) + len(OVERLAYS)} renderings"
    mark = at_most(0, "; ".join(wrong[:3]))
    name = "checks of checkov that failed or were skipped"
    return [Figure(name, len(wrong), mark, f"{_COMMAND} policies", spread)]


def discovery() -> list[Figure]:
    """Slowest of 20 changes, from the API server's event to the new set."""
    slowest = asyncio.run(_changes(20))
    name, spread = "seconds until a changed set of pods is used", "slowest of 20 changes, the real client over TLS"
    return [Figure(name, round(slowest, 4), at_most(2), f"{_COMMAND} discovery", spread)]


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


def replay() -> list[Figure]:
    """The cpu overlay as local processes: seconds until it serves, and requests lost in rollouts of both workloads."""
    return asyncio.run(_replay())


async def _replay() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        async with Replay(overlay("cpu"), Path(folder)) as cluster:
            await cluster.wait_ready()
            ready_s = time.monotonic() - began
            async with asking(cluster.endpoint("orchestrator"), product=PRODUCT, **FAST) as load:
                for _ in range(3):
                    for workload in ("orchestrator", "triton"):
                        await cluster.rollout_restart(workload)
    lost = Figure(
        "requests lost while every pod of orchestrator and Triton is replaced", len(load.failed),
        at_most(0, "; ".join(map(str, load.failed[:2]))), f"{_COMMAND} replay",
        spread=f"{load.made} made during 6 rollouts of the rendered cpu overlay",
    )  # fmt: skip
    ready = Figure(
        "the rendered cpu overlay as local processes: seconds until every pod is ready", round(ready_s, 1),
        at_most(60), f"{_COMMAND} replay", spread="Job, Redis, Triton and orchestrator started at once",
    )  # fmt: skip
    return [lost, ready]


def network() -> list[Figure]:
    """The tests of the network, as a count of those that fail or are skipped."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "tests/k8s/network"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = run.stdout.strip().splitlines()[-1]
    words = last.replace(",", " ").split()
    counts = {word: int(number) for number, word in itertools.pairwise(words) if number.isdigit() and word.isalpha()}
    assert counts, f"pytest reported no counts: {run.stdout[-500:]} {run.stderr[-500:]}"
    bad = sum(count for word, count in counts.items() if word != "passed")
    spread = f"{last.strip('= ')}: a link cut, 5 % of packets lost, a host dead, an orchestrator dead"
    name = "network faults that a caller notices, or that were not tried"
    return [Figure(name, bad, at_most(0, last), f"{_COMMAND} network", spread)]


CHECKS: dict[str, checks.Check] = {
    "builds": builds,
    "valid": valid,
    "policies": policies,
    "discovery": discovery,
    "replay": replay,
    "network": network,
    "gateway": kubernetes_gateway.gateway,
    "defects": kubernetes_install.defects,
    "installs": kubernetes_install.installs,
    "repositories": kubernetes_install.repositories,
    "smoke": kubernetes_install.smoke,
    "scaling": cluster_marks.scaling,
    "alerting": cluster_marks.alerting,
    "refusals": cluster_marks.refusals,
    "second-cell": cluster_marks.second_cell,
    "capacity": capacity_figures.capacity,
    "answers": capacity_figures.simulated_answers,
}


def main() -> int:
    """Measures the named marks, or all; the exit status is 1 when one is missed."""
    return checks.run(AREA, checks.parse_names(_COMMAND, __doc__, [*CHECKS], [*CHECKS]), CHECKS)


if __name__ == "__main__":
    sys.exit(main())
