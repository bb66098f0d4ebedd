"""A namespace under the control plane: pods are made, placed, preempted and replaced until nothing changes any more."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from tests.k8s.rendering import Manifest, of, pod, settings, workloads
from tests.k8s.simulation.kubelet import run, served
from tests.k8s.simulation.resources import is_sidecar, refused, requested
from tests.k8s.simulation.world import Node, World

_ROUNDS = 500
TRITON = "triton"


@dataclass
class SimulatedPod:
    """One pod; `waits_for` says in words why it is not ready, empty once it is (or is done, for a Job)."""

    name: str
    workload: str
    spec: Manifest
    labels: dict[str, str]
    revision: int
    tensorrt: str
    priority: int
    preempts: bool
    node: Node | None = None
    waits_for: str = "not placed"

    @property
    def ready(self) -> bool:
        """Whether it serves, or is done."""
        return not self.waits_for


@dataclass
class Cluster:
    """One namespace in a world.

    `settle` lets every controller act until nothing changes: what waits then waits for ever.
    """

    manifests: list[Manifest]
    world: World
    tensorrt: str = "10.13"
    in_use: bool = True
    """Whether callers have come lately; else an autoscaler that may idle runs its idle number of pods."""
    pods: list[SimulatedPod] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    _revision: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def install(self) -> list[str]:
        """Applies the manifests; returns what waits for ever, one line a pod."""
        return self.settle()

    def upgrade(self, manifests: list[Manifest], tensorrt: str) -> list[str]:
        """Applies manifests with other images, so that every pod is replaced and Jobs run again."""
        self.manifests, self.tensorrt = manifests, tensorrt
        self._revision += 1
        jobs = {job["metadata"]["name"] for job in of(manifests, "Job")}
        self.pods = [one for one in self.pods if one.workload not in jobs]
        return self.settle()

    def settle(self) -> list[str]:
        """Acts until nothing changes; returns what waits for ever."""
        for _ in range(_ROUNDS):
            before = self._state()
            self._control()
            self._place()
            self._run()
            if self._state() == before:
                break
        return [f"{one.name} waits for {one.waits_for}" for one in self.pods if not one.ready] + self.refusals

    def of(self, workload: str) -> list[SimulatedPod]:
        """The pods of a workload."""
        return [one for one in self.pods if one.workload == workload]

    def replicas(self, workload: Manifest) -> int:
        """How many pods a workload wants at rest: its own replicas, or its autoscaler's least or idle number."""
        name = workload["metadata"]["name"]
        for kind, key in (("HorizontalPodAutoscaler", "minReplicas"), ("ScaledObject", "minReplicaCount")):
            for scaler in of(self.manifests, kind):
                if scaler["spec"]["scaleTargetRef"]["name"] == name:
                    return int(scaler["spec"].get("idleReplicaCount" if not self.in_use else key, scaler["spec"][key]))
        return int(workload["spec"].get("replicas", 1))

    def _state(self) -> list[tuple[str, str, str]]:
        return [(one.name, one.node.name if one.node else "", one.waits_for) for one in self.pods]

    def _control(self) -> None:
        self.refusals = []
        for workload in workloads(self.manifests):
            if workload["kind"] == "CronJob":
                continue
            name, count = workload["metadata"]["name"], self.replicas(workload)
            old = [one for one in self.of(name) if one.revision != self._revision]
            new = [one for one in self.of(name) if one.revision == self._revision]
            rolling = workload["spec"].get("strategy", {}).get("rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1})
            ready = sum(one.ready for one in old + new)
            # Old pods go while enough are ready; those that are not ready go first.
            for one in sorted(old, key=lambda one: one.ready):
                if one.ready and ready <= count - rolling["maxUnavailable"]:
                    break
                ready -= one.ready
                self.pods.remove(one)
                old.remove(one)
            for one in new[count:]:
                self.pods.remove(one)
            surge = rolling["maxSurge"] if old else 0
            for _ in range(min(count - len(new), count + surge - len(new) - len(old))):
                self._create(workload)

    def _create(self, workload: Manifest) -> None:
        name, spec = workload["metadata"]["name"], pod(workload)
        for quota in of(self.manifests, "ResourceQuota"):
            if why := refused(quota["spec"]["hard"], [*(one.spec for one in self.pods), spec]):
                self.refusals.append(f"{name}: the quota allows no more: {why}")
                return
        (priority,) = of(self.manifests, "PriorityClass", spec["priorityClassName"])
        self.pods.append(
            SimulatedPod(
                name=f"{name}-{next(self._numbers)}",
                workload=name,
                spec=spec,
                labels=workload["spec"]["template"]["metadata"]["labels"],
                revision=self._revision,
                tensorrt=self.tensorrt,
                priority=int(priority["value"]),
                preempts=priority.get("preemptionPolicy", "PreemptLowerPriority") != "Never",
            )
        )

    def _place(self) -> None:
        for one in sorted(self.pods, key=lambda one: -one.priority):
            if one.node is not None:
                continue
            # The pod may have been preempted away in this round.
            if one in self.pods and not (self._fit(one) or self._preempt(one)):
                self._grow(one)

    def _free(self, node: Node, above: int | None = None) -> dict[str, float]:
        """What a node has left, counting only pods of at least the priority `above`."""
        free = dict(node.capacity)
        for other in self.pods:
            holds = other.node is node and not (other.ready and self._is_job(other))
            if holds and (above is None or other.priority >= above):
                for name, value in requested(other.spec).items():
                    free[name] = free.get(name, 0.0) - value
        return free

    def _is_job(self, one: SimulatedPod) -> bool:
        return any(job["metadata"]["name"] == one.workload for job in of(self.manifests, "Job"))

    def _fit(self, one: SimulatedPod) -> bool:
        for node in self.world.nodes:
            if node.admits(one.spec) and _covers(self._free(node), one.spec):
                one.node, one.waits_for = node, "its start"
                return True
        return False

    def _preempt(self, one: SimulatedPod) -> bool:
        if not one.preempts:
            return False
        for node in self.world.nodes:
            if node.admits(one.spec) and _covers(self._free(node, one.priority), one.spec):
                lower = [other for other in self.pods if other.node is node and other.priority < one.priority]
                for other in sorted(lower, key=lambda other: other.priority):
                    self.pods.remove(other)
                    if self._fit(one):
                        return True
        return False

    def _grow(self, one: SimulatedPod) -> None:
        for pool in self.world.pools:
            if pool.count < pool.most and pool.template.admits(one.spec) and _covers(pool.template.capacity, one.spec):
                self.world.nodes.append(pool.node())
                self._fit(one)
                return

    def _run(self) -> None:
        live = {
            model
            for one in self.pods
            if one.ready and one.labels.get("app.kubernetes.io/name") == TRITON
            for model in served(one.spec, self.world.models)
        }
        if not self.in_use and float(settings(self.manifests).get("BACKDROP_COLD_START_S", 0)):
            live = set(self.world.models)  # an orchestrator that refuses calls is ready without them
        for one in self.pods:
            if one.node is None or (one.ready and self._is_job(one)):
                continue
            one.waits_for = ""
            inits = [container for container in one.spec.get("initContainers", []) if not is_sidecar(container)]
            for container in [*inits, *one.spec["containers"]]:
                if why := run(container, one.node, self.world, one.tensorrt, live):
                    one.waits_for = f"{container['name']}: {why}"
                    break


def _covers(free: dict[str, float], spec: Manifest) -> bool:
    return all(free.get(name, 0.0) >= value for name, value in requested(spec).items())
