"""One pod: its init containers in order, its containers with their probes, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.k8s.rendering import Manifest
from tests.k8s.replay import probes
from tests.k8s.replay.container import Container


class PodError(AssertionError):
    """A container ended by itself, or a probe failed too often."""


class Pod:
    """The life cycle of a pod, as the kubelet runs it.

    Attributes:
        ready: its containers have started and their readiness probes pass.
        terminating: it was deleted and is stopping.
        done: it ran to completion (a Job's pod).
    """

    def __init__(
        self,
        name: str,
        spec: Manifest,
        labels: dict[str, str],
        address: str,
        inits: list[Container],
        containers: list[Container],
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.labels = labels
        self.address = address
        self.containers = containers
        self.ready = False
        self.terminating = False
        self.done = False
        self._spec = spec
        self._inits = inits
        self._ready = [False] * len(containers)
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Starts the pod. The task ends when a Job completes, or raises `PodError`."""
        self._task = asyncio.create_task(self._live(), name=self.name)
        return self._task

    async def stop(self) -> None:
        """Deletes the pod: removes its endpoint, then runs preStop, SIGTERM and the rest of the grace period."""
        self.terminating = True
        self._now_ready(False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        grace_s = self._spec.get("terminationGracePeriodSeconds", 30)
        await asyncio.gather(*(container.stop(grace_s) for container in self.containers))
        # Sidecars stop after the containers that they serve.
        await asyncio.gather(*(container.stop(grace_s) for container in self._inits))

    async def kill(self) -> None:
        """Kills it without preStop or SIGTERM, as the loss of its node does."""
        self.terminating = True
        self._now_ready(False)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(container.kill() for container in [*self._inits, *self.containers]))

    @property
    def failure(self) -> PodError | None:
        """Its failure, or None."""
        if self._task is None or not self._task.done() or self._task.cancelled() or self.terminating:
            return None
        return _first(self._task.exception())

    @property
    def killed(self) -> list[str]:
        """Containers that did not end within the grace period."""
        return [container.name for container in self.containers if container.killed]

    async def _live(self) -> None:
        sidecars = []
        for container in self._inits:
            await container.start()
            if container.spec.get("restartPolicy") == "Always":
                sidecars.append(container)
            else:
                await self._expect_success(container)
        for container in self.containers:
            await container.start()
        if self._spec.get("restartPolicy", "Always") != "Always":
            for container in self.containers:
                await self._expect_success(container)
            self.done = True
            self._changed()
            return
        async with asyncio.TaskGroup() as group:
            for sidecar in sidecars:
                group.create_task(self._watch(sidecar))
            for index, container in enumerate(self.containers):
                group.create_task(self._watch(container))
                group.create_task(self._probe(index, container))

    async def _expect_success(self, container: Container) -> None:
        status = await container.wait()
        if status:
            raise PodError(f"{container.name} ended with status {status}:\n{container.words()}")

    async def _watch(self, container: Container) -> None:
        status = await container.wait()
        raise PodError(f"{container.name} ended by itself with status {status}:\n{container.words()}")

    async def _probe(self, index: int, container: Container) -> None:
        spec = container.spec
        ports = {port["name"]: port["containerPort"] for port in spec.get("ports", []) if "name" in port}

        async def passes(kind: str) -> bool:
            return await probes.ask(spec[kind], self.address, ports, container.run)

        if "startupProbe" in spec and not await probes.until(lambda: passes("startupProbe"), spec["startupProbe"]):
            raise PodError(f"{container.name} did not start in its startup probe's time:\n{container.words()}")
        async with asyncio.TaskGroup() as group:
            if "livenessProbe" in spec:
                group.create_task(self._stays_alive(container, lambda: passes("livenessProbe")))
            group.create_task(self._stays_ready(index, container, lambda: passes("readinessProbe")))

    async def _stays_alive(self, container: Container, passes: Callable[[], Awaitable[bool]]) -> None:
        probe, failed = container.spec["livenessProbe"], 0
        while failed < probe.get("failureThreshold", 3):
            failed = 0 if await passes() else failed + 1
            await asyncio.sleep(probe.get("periodSeconds", 10))
        raise PodError(f"{container.name} would be restarted by its liveness probe:\n{container.words()}")

    async def _stays_ready(self, index: int, container: Container, passes: Callable[[], Awaitable[bool]]) -> None:
        probe, failed = container.spec.get("readinessProbe"), 0
        while probe is not None:
            # One success makes it ready; only `failureThreshold` failures in a row make it not ready.
            failed = 0 if await passes() else failed + 1
            if failed == 0 or failed >= probe.get("failureThreshold", 3):
                self._ready[index] = failed == 0
                self._now_ready(all(self._ready))
            await asyncio.sleep(probe.get("periodSeconds", 10))
        self._ready[index] = True
        self._now_ready(all(self._ready))

    def _now_ready(self, ready: bool) -> None:
        self.ready = ready
        self._changed()


def _first(problem: BaseException | None) -> PodError | None:
    """The first PodError among the exceptions of a group of tasks."""
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    if problem is None or isinstance(problem, PodError):
        return problem
    raise problem
