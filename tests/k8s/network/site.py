"""Three hosts with a Triton each, two with an orchestrator, and callers: the processes of a small cluster."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from local import triton
from local.guard import clean, descendants
from tests.k8s.network.switch import Host, Switch
from tests.k8s.rendering import ROOT
from tests.local import small

TRITONS = ("triton-0", "triton-1", "triton-2")
ORCHESTRATORS = ("orchestrator-0", "orchestrator-1")
START_S = 240.0


class Site:
    """The processes on the hosts. `stop` ends all of them."""

    def __init__(self, switch: Switch, folder: Path) -> None:
        self.switch = switch
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self._shm = f"backdrop_network_{os.getpid()}_"

    def start(self) -> None:
        """Starts Tritons and orchestrators, and waits until all of them serve."""
        repository = small.write_fast_repository(self.folder / "repository")
        wheel = triton.find_wheel()
        triton.prepare_backends(wheel, self.folder / "backends")
        hosts = self.switch.hosts
        for name in TRITONS:
            command = [str(wheel / "bin" / "tritonserver"), f"--model-repository={repository}"]
            command += [f"--backend-directory={self.folder / 'backends'}", "--disable-auto-complete-config"]
            command += ["--allow-http=false", "--allow-metrics=false", f"--grpc-address={hosts[name].address}"]
            command += ["--grpc-port=8001", f"--backend-config=python,shm-region-prefix-name={self._shm}{name}_"]
            self.run(hosts[name], command, **triton.environment(wheel))
        endpoints = ",".join(f"{hosts[name].address}:8001" for name in TRITONS)
        for name in ORCHESTRATORS:
            self.run(
                hosts[name],
                [sys.executable, "-m", "orchestrator"],
                BACKDROP_LISTEN=f"{hosts[name].address}:50061",
                BACKDROP_ALLOW_ANONYMOUS="true",
                BACKDROP_TRITON_ENDPOINTS=endpoints,
                BACKDROP_REPOSITORY=str(repository),
                # Long enough for a loaded machine, short enough that a host that drops packets costs little.
                BACKDROP_STEP_TIMEOUT_S="8",
                PYTHONPATH=str(ROOT),
            )
        for name in ORCHESTRATORS:
            self._wait_for(name, '"event": "ready"', 1)
            self._wait_for(name, "replica ready", len(TRITONS))

    def run(self, host: Host, command: list[str], **environment: str) -> subprocess.Popen[str]:
        """Starts a command on a host. Its output goes to a log, except a caller's."""
        with (self.folder / f"{host.name}.log").open("a") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", host.namespace, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if host.name == "caller" else log,
                stderr=log,
                env={**os.environ, **environment},
                cwd=self.folder,
                text=True,
            )
        self.processes[host.name] = process
        return process

    def log(self, name: str) -> list[dict[str, Any]]:
        """The log of an orchestrator."""
        # The last line may be half written.
        lines, _, _ = (self.folder / f"{name}.log").read_text().rpartition("\n")
        return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]

    @contextlib.contextmanager
    def calls(self, *orchestrators: str, at_once: int = 2) -> Iterator[list[dict[str, Any]]]:
        """Sends requests while the block runs; after the block the list holds the result of each."""
        host = self.switch.hosts["caller"]
        addresses = ",".join(f"{self.switch.hosts[name].address}:50061" for name in orchestrators)
        product = str(ROOT / "examples" / "product.png")
        command = [sys.executable, "-m", "tests.k8s.network.caller", f"ipv4:{addresses}", product, str(at_once)]
        caller = self.run(host, command, PYTHONPATH=str(ROOT))
        results: list[dict[str, Any]] = []
        try:
            yield results
        finally:
            words, _ = caller.communicate("over", timeout=180)
            results += [json.loads(line) for line in words.splitlines()]

    def kill(self, name: str) -> None:
        """Kills the processes of a host and cuts its link at the same time."""
        self.switch.cut.add(name)
        process = self.processes.pop(name)
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """Ends every process."""
        for name in list(self.processes):
            self.kill(name)
        clean(self._shm, [])

    def _wait_for(self, name: str, words: str, times: int) -> None:
        deadline = time.monotonic() + START_S
        file = self.folder / f"{name}.log"
        while file.read_text().count(words) < times:
            assert self.processes[name].poll() is None, file.read_text()[-2000:]
            assert time.monotonic() < deadline, file.read_text()[-2000:]
            time.sleep(0.1)
