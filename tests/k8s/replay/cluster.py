"""The rendered manifests as a running cluster on loopback: the work of the control plane and of the nodes."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.k8s import certificates
from tests.k8s.api_server import ApiServer
from tests.k8s.rendering import Manifest, of, pod, workloads
from tests.k8s.replay.container import Container
from tests.k8s.replay.images import name_of, standing_in
from tests.k8s.replay.mounts import TOKEN, Here, NotThereError, Volumes, environment
from tests.k8s.replay.pod import Pod, PodError
from tests.k8s.replay.services import Service


class Replay:
    """Every workload of the manifests, running inside a `with` block.

    Args:
        manifests: as kubectl renders them.
        folder: for volumes and logs.
        only: names of the workloads to run; None = all.
    """

    def __init__(self, manifests: list[Manifest], folder: Path, only: tuple[str, ...] | None = None) -> None:
        self.pods: list[Pod] = []
        self.gone: list[Pod] = []
        self.api = ApiServer()
        self._manifests = manifests
        self._folder = folder
        self._workloads = {w["metadata"]["name"]: w for w in workloads(manifests)}
        if only is not None:
            self._workloads = {name: self._workloads[name] for name in only}
        # The network of this replay: ports are the manifests', so two replays at a time need other addresses.
        self._network = f"127.{random.randrange(64, 255)}.{random.randrange(256)}"
        self._hosts = itertools.count(1)
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self.images = standing_in(folder)
        self._services: dict[str, Service] = {}
        self._certificate = Path()

    async def __aenter__(self) -> Self:
        """Starts all workloads at once, as `kubectl apply` does; see `wait_ready`."""
        address = self._address()
        self._certificate, tls = certificates.make(self._folder, address)
        await self.api.start(host=address, tls=tls)
        for manifest in of(self._manifests, "Service"):
            service = Service(manifest, self._address(), lambda: self.pods)
            self._services[service.name] = service
            await service.start()
        try:
            for name in self._workloads:
                for _ in range(self.replicas(name)):
                    self.create(name)
        except NotThereError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(one.stop() if kind is None else one.kill() for one in self.pods))
        self.gone += self.pods
        for service in self._services.values():
            await service.stop()
        await self.api.stop()

    def endpoint(self, service: str) -> str:
        """host:port of a Service, from inside the cluster."""
        port = of(self._manifests, "Service", service)[0]["spec"]["ports"][0]["port"]
        return f"{self._services[service].address}:{port}"

    def of(self, workload: str) -> list[Pod]:
        """The pods of a workload that are not terminating."""
        return [one for one in self.pods if one.name.rpartition("-")[0] == workload and not one.terminating]

    def replicas(self, workload: str) -> int:
        """The number of pods of a workload: its autoscaler's minimum, or its own replicas."""
        for scaler in of(self._manifests, "HorizontalPodAutoscaler"):
            if scaler["spec"]["scaleTargetRef"]["name"] == workload:
                return int(scaler["spec"]["minReplicas"])
        return int(self._workloads[workload]["spec"].get("replicas", 1))

    def create(self, workload: str) -> Pod:
        """Starts one more pod of a workload."""
        template = self._workloads[workload]["spec"]["template"]
        spec = self._with_claims(self._workloads[workload])
        name, uid, address = f"{workload}-{next(self._numbers)}", str(uuid.uuid4()), self._address()
        own = self._folder / "pods" / name
        volumes = Volumes(self._manifests, self._folder / "claims", own / "volumes", self._certificate)
        folders = volumes.make(spec, name)
        names = {
            f"{service.name}.backdrop{end}": service.address
            for service in self._services.values()
            for end in ("", ".svc", ".svc.cluster.local")
        }
        host, port = self.api.url.removeprefix("https://").split(":")
        always = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "HOSTNAME": name}

        def container(entry: Manifest) -> Container:
            image = self.images[name_of(entry["image"])]
            missing = [mount["name"] for mount in entry.get("volumeMounts", []) if mount["name"] not in folders]
            if missing:
                raise NotThereError(f"{name}/{entry['name']} mounts {missing[0]}, which is no volume of the pod")
            mounts = {mount["mountPath"]: folders[mount["name"]] for mount in entry.get("volumeMounts", [])}
            here = Here({**image.files, **mounts}, address, names)
            for folder in mounts.values():
                _rewrite(folder, here, own)
            variables = always | environment(entry, self._manifests, uid, address)
            return Container(f"{name}/{entry['name']}", entry, image, here, variables, own / f"{entry['name']}.log")

        new = Pod(
            name,
            spec,
            template["metadata"]["labels"],
            address,
            [container(entry) for entry in spec.get("initContainers", [])],
            [container(entry) for entry in spec["containers"]],
            self._publish,
        )
        self.pods.append(new)
        new.start().add_done_callback(lambda _: self._publish())
        return new

    async def wait_ready(self, *workloads: str, within_s: float = 240.0) -> None:
        """Waits until every pod of these workloads (default: all) is ready, or done for a Job.

        Raises:
            PodError: a pod fails, or takes too long.
        """
        names = workloads or tuple(self._workloads)
        try:
            async with asyncio.timeout(within_s):
                while not all(one.ready or one.done for name in names for one in self.of(name)):
                    self.check()
                    change = self._changed
                    await change.wait()
        except TimeoutError:
            waiting = [one for name in names for one in self.of(name) if not (one.ready or one.done)]
            words = "\n".join(f"{c.name}: {c.words()}" for one in waiting for c in one.containers)
            raise PodError(f"not ready after {within_s:g} s: {[one.name for one in waiting]}\n{words}") from None

    def check(self) -> None:
        """Raises the failure of a pod that is not terminating."""
        for one in self.pods:
            if one.failure is not None:
                raise one.failure

    async def rollout_restart(self, workload: str) -> None:
        """Replaces every pod of a Deployment, with maxSurge and maxUnavailable of its rolling update.

        Raises:
            PodError: a new pod fails, or an old one does not stop within its grace period.
        """
        rolling = self._workloads[workload]["spec"]["strategy"]["rollingUpdate"]
        old = self.of(workload)
        while old:
            if rolling["maxSurge"]:
                self.create(workload)
                await self.wait_ready(workload)
                await self.delete(old.pop(0))
            else:
                await self.delete(old.pop(0))
                self.create(workload)
                await self.wait_ready(workload)

    async def delete(self, one: Pod) -> None:
        """Deletes a pod and waits until it has stopped.

        Raises:
            PodError: it had to be killed.
        """
        await one.stop()
        self.pods.remove(one)
        self.gone.append(one)
        self._publish()
        if one.killed:
            raise PodError(f"{one.killed[0]} did not end within its grace period")

    def _with_claims(self, workload: Manifest) -> Manifest:
        """The pod spec, with the volume claims of a StatefulSet among its volumes."""
        templates = workload["spec"].get("volumeClaimTemplates", [])
        claims = [
            {"name": t["metadata"]["name"], "persistentVolumeClaim": {"claimName": t["metadata"]["name"]}}
            for t in templates
        ]
        spec = pod(workload)
        return {**spec, "volumes": [*spec.get("volumes", []), *claims]}

    def _address(self) -> str:
        return f"{self._network}.{next(self._hosts)}"

    def _publish(self) -> None:
        for service in self._services.values():
            if service.name == "triton":
                service.publish(self.api)
        self._changed.set()
        self._changed = asyncio.Event()


def _rewrite(folder: Path, here: Here, own: Path) -> None:
    """Maps paths and addresses in the pod's own copies of configuration files; shared volumes stay unchanged."""
    if not folder.is_relative_to(own):
        return
    for file in folder.iterdir():
        if file.is_file() and file.name != "token" and file.stat().st_size < 1 << 16:
            file.write_text(here.text(file.read_text()))


def expect_token(replay: Replay) -> None:
    """Asserts that the API server was asked, with the token that the pod mounts."""
    assert set(replay.api.tokens) == {f"bearer {TOKEN}"}


def leftovers() -> list[str]:
    """Shared-memory files of this process' replays that still exist."""
    return [region.name for region in Path("/dev/shm").glob(f"backdrop_replay_{os.getpid()}_*")]
