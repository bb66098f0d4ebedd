"""A site of real processes on loopback: orchestrators, and Tritons and a Redis behind proxies."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import backdrop
from local import orchestrator, redis, triton
from local.health import serving
from local.ports import HOST, free_ports
from local.restarts import Restarter, RestartPolicy
from local.supervisor import Child, Service, Supervisor
from tests.faults.proxy import Proxy

_LOOK_EVERY_S = 0.05
_READY_S = 120.0
# Faults are injected many times in a row, so no number of deaths is too many.
_POLICY = RestartPolicy(first_delay_s=0.1, longest_delay_s=0.1, most_deaths=1_000_000)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a site consists of.

    Attributes:
        repository: what the Tritons serve.
        folder: for logs; must exist.
        tritons: number of Tritons.
        orchestrators: number of orchestrators; all of them use all Tritons and the same Redis.
        with_redis: whether there is a Redis.
        settings: of every orchestrator, by the names of its environment variables.
        wrap: changes a service before it is started; by default not at all.
        stand_ins: whether `stand_in` serves the repository in the place of Triton.
    """

    repository: Path
    folder: Path
    tritons: int = 2
    orchestrators: int = 1
    with_redis: bool = True
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    wrap: Callable[[Service], Service] = lambda service: service
    stand_ins: bool = False


class Site:
    """The running processes of a plan. An async context manager; not for several tasks that start and stop at once.

    Attributes:
        plan: what it consists of.
        proxies: by the name of the service: `redis`, `triton-0` …; orchestrators reach those through them.
        endpoints: host:port of each orchestrator.
        metrics: host:port of each orchestrator's metrics.
        reports: sentences of the restarter about deaths and restarts.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.proxies: dict[str, Proxy] = {}
        self.endpoints: list[str] = []
        self.metrics: list[str] = []
        self.reports: list[str] = []
        self._supervisor = Supervisor()
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stop()

    def child(self, name: str) -> Child:
        """The process of a service as it runs now; a restart makes another one."""
        return self._supervisor.children[name]

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a service a signal; a Triton's stubs do not get it."""
        self.child(name).signal(number)

    def log(self, name: str) -> Path:
        """The log of a service, over all its restarts."""
        return self.plan.folder / f"{name}.log"

    def events(self, name: str = "orchestrator-0") -> list[dict[str, Any]]:
        """The log of an orchestrator as JSON objects."""
        lines = self.log(name).read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    @contextlib.asynccontextmanager
    async def restarting(self) -> AsyncIterator[None]:
        """Starts again what dies, as `python -m local` does, until the block ends."""
        restarter = Restarter(self._supervisor, self.reports.append, _POLICY)

        async def keep() -> None:
            while True:
                await asyncio.to_thread(restarter.look)
                await asyncio.sleep(_LOOK_EVERY_S)

        task = asyncio.create_task(keep())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def restart(self, name: str) -> None:
        """Stops a service by SIGTERM, waits for its end, starts it again and waits until it answers."""
        service = self.child(name).service
        await asyncio.to_thread(self.child(name).stop)
        await asyncio.to_thread(self._supervisor.start, service)

    async def gauge(self, name: str, orchestrator: int = 0) -> float:
        """The value of a metric, over all its labels.

        Raises:
            KeyError: there is no such metric.
        """
        text = await asyncio.to_thread(_fetch, f"http://{self.metrics[orchestrator]}/metrics")
        if f"# TYPE {name} " not in text:
            raise KeyError(name)
        lines = (line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def wait_gauge(self, name: str, value: float, orchestrator: int = 0, timeout_s: float = 30.0) -> float:
        """Waits until a metric has a value; returns the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(timeout_s):
            while await self.gauge(name, orchestrator) != value:  # noqa: ASYNC110  # asked over the wire
                await asyncio.sleep(0.02)
        return loop.time() - began

    async def wait_replicas(self, count: int, orchestrator: int = 0, timeout_s: float = _READY_S) -> float:
        """Waits until an orchestrator uses so many Tritons; returns the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(timeout_s), backdrop.AsyncClient(self.endpoints[orchestrator]) as client:
            while (await client.info()).ready_replicas != count:  # noqa: ASYNC110  # asked over the wire
                await asyncio.sleep(0.01)
        return loop.time() - began

    async def _start(self) -> None:
        plan = self.plan
        if plan.with_redis:
            (port,) = free_ports(1)
            self._launch(redis.service(port, plan.folder))
            await self._proxy("redis", port)
        for index in range(plan.tritons):
            port, metrics = free_ports(2)
            serve = _stand_in if plan.stand_ins else triton.service
            self._launch(serve(f"triton-{index}", plan.repository, port, metrics, plan.folder))
            await self._proxy(f"triton-{index}", port)
        await self._wait()
        for index in range(plan.orchestrators):
            port, metrics = free_ports(2)
            self.endpoints.append(f"{HOST}:{port}")
            self.metrics.append(f"{HOST}:{metrics}")
            self._launch(
                orchestrator.service(
                    f"orchestrator-{index}",
                    plan.repository,
                    self.endpoints[-1],
                    self.metrics[-1],
                    plan.folder,
                    tritons=[proxy.endpoint for name, proxy in self.proxies.items() if name != "redis"],
                    redis_url=f"redis://{self.proxies['redis'].endpoint}/0" if plan.with_redis else "",
                    settings=plan.settings,
                )
            )
        await self._wait()

    def _launch(self, service: Service) -> None:
        self._supervisor.start(self.plan.wrap(service), wait=False)

    async def _wait(self) -> None:
        """Waits until every service answers; all start at the same time."""
        for name in list(self._supervisor.children):
            await asyncio.to_thread(self._supervisor.wait_ready, name)

    async def _proxy(self, name: str, port: int) -> None:
        self.proxies[name] = await self._stack.enter_async_context(Proxy(port))

    async def _stop(self) -> None:
        for child in self._supervisor.children.values():
            with contextlib.suppress(ProcessLookupError):
                child.signal(signal.SIGCONT)
        await asyncio.to_thread(self._supervisor.stop)
        await self._stack.aclose()


def _stand_in(name: str, repository: Path, port: int, metrics_port: int, log_folder: Path) -> Service:
    endpoint = f"{HOST}:{port}"
    return Service(
        name=name,
        command=(sys.executable, "-m", "tests.faults.stand_in", str(repository), str(port)),
        endpoint=endpoint,
        log=log_folder / f"{name}.log",
        ready=lambda: serving(endpoint),
        working_folder=orchestrator.ROOT,
    )


def _fetch(url: str) -> str:
    # Loopback must not go through a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as response:
        return str(response.read(), "utf-8")
