"""What pods find outside themselves: nodes, node pools, the two volumes, and Secrets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from tests.k8s.rendering import Manifest

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
Engine = tuple[str, str, str]
"""GPU model, TensorRT version, model of the repository."""


@dataclass
class Node:
    """A machine; `gpu` is the model of its GPUs, empty without any."""

    name: str
    capacity: dict[str, float]
    gpu: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)

    def admits(self, spec: Manifest) -> bool:
        """Whether its labels and taints let a pod come."""
        if not spec.get("nodeSelector", {}).items() <= self.labels.items():
            return False
        return all(any(_tolerates(t, taint) for t in spec.get("tolerations", [])) for taint in self.taints)


def _tolerates(toleration: dict[str, str], taint: dict[str, str]) -> bool:
    if toleration.get("key") not in (None, taint["key"]) or toleration.get("effect") not in (None, taint["effect"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value") == taint.get("value")


@dataclass
class NodePool:
    """Nodes that an autoscaler adds for pods that fit nowhere.

    Before a node exists, the autoscaler knows only what the pool's template says. Labels that something on the node
    writes later (GPU feature discovery) are not in it.
    """

    template: Node
    most: int
    count: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def node(self) -> Node:
        """One more node."""
        self.count += 1
        template = self.template
        return Node(
            f"{template.name}-{next(self._numbers)}",
            dict(template.capacity),
            template.gpu,
            dict(template.labels),
            list(template.taints),
        )


@dataclass
class World:
    """The outside of a namespace.

    Attributes:
        repositories: paths that are published on the volume `model-store`.
        engines: in the volume `engine-store`.
        secrets: names of Secrets that were made by hand.
        models: names in the repository.
    """

    nodes: list[Node]
    models: frozenset[str]
    pools: list[NodePool] = field(default_factory=list)
    repositories: set[str] = field(default_factory=set)
    engines: set[Engine] = field(default_factory=set)
    secrets: set[str] = field(default_factory=lambda: {"redis-auth"})


def processors(name: str = "cpu", **labels: str) -> Node:
    """A node without GPUs that has room for everything else."""
    capacity = {"cpu": 512.0, "memory": 4.0 * 2**40, "ephemeral-storage": 4.0 * 2**40}
    return Node(name, capacity, labels=labels)


def accelerators(name: str, count: int, resource: str = "nvidia.com/gpu", gpu: str = "H100", **labels: str) -> Node:
    """A node with GPUs, or shares of them, and the taint that keeps other pods away."""
    return Node(name, {**processors().capacity, resource: float(count)}, gpu, labels, [GPU_TAINT])
