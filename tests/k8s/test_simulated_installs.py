"""Installs and upgrades, simulated: on as many GPUs as there are Tritons, and on node pools that start empty."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.k8s.rendering import ROOT, Manifest, combine, workloads
from tests.k8s.simulation.cluster import Cluster
from tests.k8s.simulation.resources import requested
from tests.k8s.simulation.world import NodePool, World, accelerators, processors

MODELS = frozenset(json.loads((ROOT / "triton_repo" / "pipeline.json").read_text())["models"])
SITES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("gpu", ()),
    ("production", ()),
    ("gpu", ("split-roles",)),
    ("gpu", ("mig",)),
    ("gpu", ("split-roles", "mig")),
    ("gpu", ("split-roles", "time-slicing")),
    ("production", ("split-roles", "multi-gpu")),
    ("production", ("split-roles", "split-roles/live-engines")),
)


def gpus(manifests: list[Manifest], world: World) -> Counter[tuple[str, str]]:
    """The GPUs that Tritons hold at rest, by kind and Deployment; other pods add none."""
    cluster = Cluster(manifests, world)
    held: Counter[tuple[str, str]] = Counter()
    for workload in workloads(manifests):
        if workload["kind"] == "Deployment":
            for name in requested(workload["spec"]["template"]["spec"]):
                if name.startswith("nvidia.com/"):
                    held[name, workload["metadata"]["name"]] += cluster.replicas(workload)
    return held


def pool_of_its_size(manifests: list[Manifest]) -> World:
    """One node without GPUs, and exactly the GPUs that the Tritons hold at rest; each role on GPUs of its own model."""
    world = World([processors()], MODELS)
    models = {"triton": "L4", "triton-denoiser": "H100"}
    # The labels of NVIDIA's operator, which a fixed pool may have.
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/device-plugin.config": "backdrop-shared"}
    world.nodes += [
        accelerators(f"{role}-{resource}", count, resource, models[role], **labels)
        for (resource, role), count in gpus(manifests, world).items()
    ]
    return world


def deadlocks(manifests: list[Manifest]) -> list[str]:
    """What waits for ever in an install, in an upgrade to another TensorRT, and in one back."""
    cluster = Cluster(manifests, pool_of_its_size(manifests))
    stuck = [f"install: {line}" for line in cluster.install()]
    stuck += [f"upgrade: {line}" for line in cluster.upgrade(manifests, "10.14")]
    return stuck + [f"rollback: {line}" for line in cluster.upgrade(manifests, "10.13")]


@pytest.mark.parametrize(("name", "components"), SITES, ids=["+".join((name, *parts)) for name, parts in SITES])
def test_as_many_gpus_as_tritons_are_enough(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    assert deadlocks(combine(tmp_path, name, components)) == []


@pytest.mark.parametrize("name", ["gpu", "production"])
def test_a_pool_without_nodes_gets_them(tmp_path: Path, name: str) -> None:
    manifests = combine(tmp_path, name, ())
    # What a cloud's template says of a node: no label of NVIDIA's operator, which runs on nodes that exist.
    cloud = {"node.kubernetes.io/instance-type": "g6.4xlarge", "topology.kubernetes.io/zone": "a"}
    pool = NodePool(accelerators("gpu", 1, **cloud), most=8)
    assert Cluster(manifests, World([processors()], MODELS, [pool])).install() == []
    assert 0 < pool.count < pool.most


def test_each_role_has_engines_of_its_own_models(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "gpu", ("split-roles",))
    world = pool_of_its_size(manifests)
    assert Cluster(manifests, world).install() == []
    made = {gpu: {model for kind, _, model in world.engines if kind == gpu} for gpu in ("L4", "H100")}
    assert made["L4"] | made["H100"] == MODELS
    assert not made["L4"] & made["H100"], "an encoder's GPU needs no denoiser's engine"


def test_a_quota_that_is_too_small_is_seen(tmp_path: Path) -> None:
    manifests = [
        {**m, "spec": {"hard": {"pods": "2"}}} if m["kind"] == "ResourceQuota" else m
        for m in combine(tmp_path, "gpu", ())
    ]
    assert any("pods 3 of 2" in line for line in Cluster(manifests, pool_of_its_size(manifests)).install())
