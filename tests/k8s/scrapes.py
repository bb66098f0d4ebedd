"""Expositions of a real run: what Prometheus would have scraped from orchestrator, Triton and the Redis exporter.

`python -m tests.k8s.scrapes` starts the local cluster, makes pictures twice, and writes what the three export after
each time. Run it again when series of the orchestrator change; the test that reads the files says so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import backdrop
from local.cluster import Cluster, Options
from local.ports import HOST, free_ports

FOLDER = Path(__file__).parent / "scraped"
TIMES = (1, 2)
SOURCES = ("orchestrator", "triton", "redis")


def file(source: str, number: int) -> Path:
    """The exposition of a source after the pictures were made once or twice."""
    return FOLDER / f"{source}-{number}.txt"


def get(url: str) -> str:
    """An exposition, once its server listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _make_pictures(client: backdrop.Client, seed: int) -> None:
    """Every pipeline, and both options that save row-steps."""
    for pipeline in ("backdrop", "backdrop-fast", "backdrop-dit"):
        client.generate(backdrop.TextToImage(), prompt="a beach", pipeline=pipeline, steps=4, seed=seed).result()
    dropping = backdrop.EarlyDropping(keep=1, after=0.5)
    client.generate(
        backdrop.TextToImage(), prompt="a forest", steps=4, seed=seed, variants=2, top_k=1, early_dropping=dropping
    ).result()


def main() -> int:
    """Writes all files; returns 0, or 1 without an exporter for Redis."""
    exporter = shutil.which("redis_exporter") or shutil.which("prometheus-redis-exporter")
    if exporter is None:
        sys.stderr.write("no Redis exporter: install Debian's package `prometheus-redis-exporter`\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as logs, Cluster(Options(log_folder=Path(logs), port=0)) as cluster:
        (port,) = free_ports(1)
        addresses = dict(
            zip(
                SOURCES,
                (cluster.endpoints.orchestrator_metrics, *cluster.endpoints.triton_metrics, f"{HOST}:{port}"),
                strict=True,
            )
        )
        command = [exporter, f"--redis.addr={cluster.endpoints.redis_url}", f"--web.listen-address={HOST}:{port}"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            with backdrop.Client(cluster.endpoints.orchestrator) as client:
                for number in TIMES:
                    _make_pictures(client, seed=number)
                    for source, address in addresses.items():
                        lines = get(f"http://{address}/metrics").splitlines(keepends=True)
                        file(source, number).write_text("".join(x for x in lines if not x.startswith("# HELP")))
        finally:
            process.kill()
            process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
