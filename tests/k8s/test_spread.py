"""Spread over zones, by the scheduler's rules: a dead or tainted zone, and an old revision, keep no pod from a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.k8s.rendering import OVERLAYS, Manifest, combine, overlay, pod, workloads

ZONE = "topology.kubernetes.io/zone"
UNREACHABLE = "node.kubernetes.io/unreachable"


@dataclass(frozen=True)
class Node:
    """A node with its zone and the keys of its NoSchedule taints."""

    name: str
    zone: str
    taints: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Placed:
    """A pod that runs: its node, and the hash of its revision."""

    node: Node
    revision: str


def domain(node: Node, key: str) -> str:
    return node.zone if key == ZONE else node.name


def may_run(spec: Manifest, nodes: list[Node], placed: list[Placed], revision: str) -> list[Node]:
    """The nodes that the scheduler's PodTopologySpread and TaintToleration filters leave for one more pod."""
    tolerated = {toleration.get("key") for toleration in spec.get("tolerations", [])}
    nodes_open = [node for node in nodes if node.taints <= tolerated]
    for constraint in spec["topologySpreadConstraints"]:
        if constraint["whenUnsatisfiable"] != "DoNotSchedule":
            continue
        key = constraint["topologyKey"]
        counted = nodes_open if constraint.get("nodeTaintsPolicy") == "Honor" else nodes
        own = [p for p in placed if "matchLabelKeys" not in constraint or p.revision == revision]
        pods = Counter(domain(p.node, key) for p in own)
        lowest = min((pods[domain(node, key)] for node in counted), default=0)
        nodes_open = [node for node in nodes_open if pods[domain(node, key)] + 1 - lowest <= constraint["maxSkew"]]
    return nodes_open


def spread() -> Iterator[tuple[str, Manifest]]:
    for name in OVERLAYS:
        yield from ((f"{name} {w['metadata']['name']}", pod(w)) for w in workloads(overlay(name)))


SPREAD = [(name, spec) for name, spec in spread() if "topologySpreadConstraints" in spec]


@pytest.mark.parametrize("spec", [spec for _, spec in SPREAD], ids=[name for name, _ in SPREAD])
@pytest.mark.parametrize("taint", [UNREACHABLE, "example.com/reserved"])
def test_pods_of_a_dead_zone_run_in_the_others(spec: Manifest, taint: str) -> None:
    alive = [Node(f"{zone}{i}", zone) for zone in "ab" for i in range(3)]
    dead = [Node(f"c{i}", "c", frozenset({taint})) for i in range(3)]
    placed: list[Placed] = []
    for _ in range(6):
        nodes = may_run(spec, alive + dead, placed, "new")
        assert nodes, f"after {len(placed)} pods, the next one stays pending"
        placed.append(Placed(nodes[0], "new"))
    assert not {p.node.zone for p in placed} & {"c"}


@pytest.mark.parametrize("spec", [spec for _, spec in SPREAD], ids=[name for name, _ in SPREAD])
def test_a_new_revision_is_spread_by_itself(spec: Manifest) -> None:
    nodes = [Node(f"{zone}{i}", zone) for zone in "abc" for i in range(4)]
    # The old revision fills a and b; the rollout's pods must be free to use every zone, evenly.
    placed = [Placed(node, "old") for node in nodes if node.zone != "c" for _ in range(2)]
    rollout: list[Placed] = []
    for _ in range(6):
        choice = may_run(spec, nodes, placed + rollout, "new")
        assert choice
        # The last node of the list: a scheduler that prefers zone c must still be kept from filling it.
        rollout.append(Placed(choice[-1], "new"))
    if any(c["whenUnsatisfiable"] == "DoNotSchedule" for c in spec["topologySpreadConstraints"]):
        assert set(Counter(p.node.zone for p in rollout).values()) == {2}


@pytest.mark.parametrize("components", [("split-roles",), ("multi-gpu",), ("split-roles", "multi-gpu", "spot")])
def test_components_keep_the_rules(tmp_path: Path, components: tuple[str, ...]) -> None:
    for workload in workloads(combine(tmp_path, "production", components)):
        for constraint in pod(workload).get("topologySpreadConstraints", []):
            assert constraint["nodeTaintsPolicy"] == "Honor"
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]
