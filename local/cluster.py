"""The cluster as one object: which services it has, on which ports, started in order and stopped in reverse order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import orchestrator, redis, triton
from local.errors import StartError
from local.orchestrator import ROOT
from local.ports import HOST, choose, free_ports
from local.restarts import Restarter, RestartPolicy
from local.supervisor import Child, Service, Supervisor

SERVICES = ("redis", "triton", "orchestrator")
"""In the order they are started."""


@dataclass(frozen=True)
class Options:
    """What to start, and where. A port of 0 means a free one."""

    repository: Path = ROOT / "triton_repo"
    log_folder: Path = ROOT / ".backdrop" / "logs"
    only: tuple[str, ...] = SERVICES
    port: int = 50061
    """The orchestrator's gRPC port."""
    metrics_port: int = 0
    """The orchestrator's metrics port."""
    redis_port: int = 0
    triton_port: int = 0
    """The first Triton's gRPC port; further replicas get free ones."""
    triton_replicas: int = 1
    models_nice: int = 0
    """The weight of the Tritons: 0 is the orchestrator's, 19 the least. With 10 the orchestrator answers at once while
    models fill the processors; on a machine that is busy with other work the models then take much longer."""
    otlp_endpoint: str = ""
    """http://host:port of an OpenTelemetry collector for the spans of orchestrator and Triton; empty = none."""


@dataclass(frozen=True)
class Endpoints:
    """Where the running services are; empty for those that were not started."""

    redis_url: str = ""
    triton: tuple[str, ...] = ()
    triton_metrics: tuple[str, ...] = ()
    orchestrator: str = ""
    orchestrator_metrics: str = ""


class Cluster:
    """Redis, Triton and the orchestrator as child processes; they end with this process, however it ends.

    As a context manager it starts them on entering and stops them on leaving. Not for use from several threads at once.
    """

    def __init__(self, options: Options | None = None, started: Callable[[Child], None] = lambda child: None) -> None:
        """Starts nothing yet. `started` is called with every service when it has become ready for the first time."""
        self.options = options or Options()
        self.endpoints = Endpoints()
        self._supervisor = Supervisor()
        self._started = started

    @property
    def children(self) -> dict[str, Child]:
        """The running services by name: `redis`, `triton-0`…, `orchestrator`."""
        return self._supervisor.children

    def start(self) -> Endpoints:
        """Starts every service and returns their endpoints. If one cannot start, the others are stopped.

        Raises:
            StartError: if one cannot start; the message has the last lines of its log.
        """
        options = self.options
        unknown = sorted(set(options.only) - set(SERVICES))
        if unknown:
            raise StartError(f"There is no service {unknown[0]!r}; there are {', '.join(SERVICES)}.")
        if "triton" in options.only:
            triton.check_repository(options.repository)
        ports = self._choose_ports()
        try:
            redis_url = self._start_redis(ports["redis"]) if "redis" in options.only else redis.external_url() or ""
            self.endpoints = Endpoints(redis_url=redis_url)
            if "triton" in options.only:
                self._start_tritons(ports["triton"])
            if "orchestrator" in options.only:
                self._start_orchestrator(ports["orchestrator"], ports["metrics"])
        except BaseException:
            self.stop()
            raise
        return self.endpoints

    def _choose_ports(self) -> dict[str, int]:
        """Checks the ports of the options before anything starts, so that a taken one is an error at once."""
        options, ports = self.options, {}
        for service, name, port, option in (
            ("redis", "redis", options.redis_port, "--redis-port"),
            ("triton", "triton", options.triton_port, "--triton-port"),
            ("orchestrator", "orchestrator", options.port, "--port"),
            ("orchestrator", "metrics", options.metrics_port, "--metrics-port"),
        ):
            if service in options.only:
                ports[name] = choose(port, option)
        return ports

    def _start(self, service: Service) -> None:
        child = self._supervisor.start(service)
        self._started(child)

    def _start_redis(self, port: int) -> str:
        url = redis.external_url()
        if url:
            return url
        service = redis.service(port, self.options.log_folder)
        self._start(service)
        return service.endpoint

    def _start_tritons(self, first_port: int) -> None:
        endpoints, metrics = [], []
        for index in range(self.options.triton_replicas):
            free_port, metrics_port = free_ports(2)
            service = triton.service(
                name=f"triton-{index}",
                repository=self.options.repository,
                port=first_port if index == 0 else free_port,
                metrics_port=metrics_port,
                log_folder=self.options.log_folder,
                nice=self.options.models_nice,
                otlp_endpoint=self.options.otlp_endpoint,
            )
            self._start(service)
            endpoints.append(service.endpoint)
            metrics.append(f"{HOST}:{metrics_port}")
        self.endpoints = Endpoints(self.endpoints.redis_url, tuple(endpoints), tuple(metrics))

    def _start_orchestrator(self, port: int, metrics_port: int) -> None:
        endpoint, metrics = f"{HOST}:{port}", f"{HOST}:{metrics_port}"
        otlp_endpoint = self.options.otlp_endpoint
        service = orchestrator.service(
            "orchestrator",
            self.options.repository,
            endpoint,
            metrics,
            self.options.log_folder,
            tritons=self.endpoints.triton,
            redis_url=self.endpoints.redis_url,
            settings={"BACKDROP_OTLP_ENDPOINT": otlp_endpoint} if otlp_endpoint else None,
        )
        self._start(service)
        self.endpoints = Endpoints(
            self.endpoints.redis_url, self.endpoints.triton, self.endpoints.triton_metrics, endpoint, metrics
        )

    def restarter(self, report: Callable[[str], None], policy: RestartPolicy | None = None) -> Restarter:
        """What starts the running services again when they die, on their old ports; see `Restarter.look`."""
        return Restarter(self._supervisor, report, policy)

    def stop(self) -> None:
        """Stops every service, the last started first. May be called twice."""
        self._supervisor.stop()
        self.endpoints = Endpoints()

    def state(self) -> dict[str, Any]:
        """Endpoints and processes as JSON-ready values, so that other programs can find this cluster."""
        return {
            "pid": os.getpid(),
            "endpoints": asdict(self.endpoints),
            "services": {
                name: {
                    "pid": child.pid,
                    "guard_pid": child.guard.pid,
                    "endpoint": child.service.endpoint,
                    "log": str(child.service.log),
                }
                for name, child in self.children.items()
            },
        }

    def write_state(self, path: Path) -> None:
        """Writes `state()` to a file in one move, so that no reader sees a part of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(self.state(), indent=2) + "\n", encoding="utf-8")
        partial.replace(path)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
