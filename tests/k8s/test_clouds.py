"""The overlays of GKE, EKS and AKS: rendered, valid, installed in the simulation, on volumes that we may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.rendering import CLOUDS, K8S, Manifest, containers, of, overlay, parse, pod, render, settings, workloads
from tests.k8s.simulation.cluster import Cluster
from tests.k8s.test_builds import VERSIONS, invalid
from tests.k8s.test_simulated_installs import deadlocks, pool_of_its_size

APPLIES_FS_GROUP = {"filestore.csi.storage.gke.io", "file.csi.azure.com"}
"""Drivers whose CSIDriver applies fsGroup to volumes of many writers; others leave them to root."""
URLS = {"gke": "gs://", "eks": "s3://", "aks": "az://"}


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_valid(cloud: str) -> None:
    assert invalid(overlay(cloud), VERSIONS[-1]) == []


def test_its_volumes_belong_to_us(cloud: str) -> None:
    manifests = overlay(cloud)
    (storage,) = of(manifests, "StorageClass")
    shared = [
        claim for claim in of(manifests, "PersistentVolumeClaim") if "ReadWriteMany" in claim["spec"]["accessModes"]
    ]
    assert len(shared) == 2
    assert {claim["spec"]["storageClassName"] for claim in shared} == {storage["metadata"]["name"]}
    for workload in workloads(manifests):
        user = pod(workload)["securityContext"]
        mounts = any("persistentVolumeClaim" in volume for volume in pod(workload).get("volumes", []))
        if mounts and storage["provisioner"] not in APPLIES_FS_GROUP:
            assert storage["parameters"]["uid"] == str(user["runAsUser"])
            assert storage["parameters"]["gid"] == str(user["runAsGroup"])
        elif mounts:
            assert user["fsGroup"] == user["runAsGroup"]


def test_models_come_by_an_identity_and_no_key(cloud: str) -> None:
    manifests = overlay(cloud)
    (job,) = of(manifests, "Job", "publish-models")
    (container,) = containers(job)
    assert container["args"][2].startswith(URLS[cloud])
    assert not any("KEY" in entry["name"] or "SECRET" in entry["name"] for entry in container.get("env", []))
    volumes = {volume["name"] for volume in pod(job)["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    (account,) = of(manifests, "ServiceAccount", pod(job)["serviceAccountName"])
    named = str(account["metadata"].get("annotations", {})) + str(container.get("env", []))
    assert any(word in named for word in ("gcp-service-account", "AWS_ROLE_ARN", "workload.identity/client-id"))


def test_it_installs_and_upgrades(cloud: str) -> None:
    manifests = overlay(cloud)
    assert deadlocks(manifests) == []
    world = pool_of_its_size(manifests)
    assert Cluster(manifests, world).install() == []
    assert world.engines


def health(cloud: str) -> Manifest:
    (manifest,) = parse((K8S / "overlays" / cloud / "health" / "health.yaml").read_text())
    return manifest


def test_its_balancer_asks_the_port_that_callers_use(cloud: str) -> None:
    manifests = overlay(cloud)
    (service,) = of(manifests, "Service", "orchestrator")
    port = settings(manifests)["BACKDROP_LISTEN"].rpartition(":")[2]
    assert str(service["spec"]["ports"][0]["port"]) == port
    manifest = health(cloud)
    assert port in str(manifest)
    target = manifest["spec"].get("targetRef") or manifest["spec"]["targetReference"]
    assert target["name"] == service["metadata"]["name"]


def test_its_health_goes_with_the_gateway(cloud: str, tmp_path: Path) -> None:
    up = Path(*[".."] * len(tmp_path.resolve().parts[1:]), *K8S.parts[1:])
    lines = [
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"resources: [{up}/overlays/{cloud}]",
    ]
    lines += [f"components: [{up}/components/gateway, {up}/overlays/{cloud}/health]"]
    (tmp_path / "kustomization.yaml").write_text("\n".join(lines))
    kinds = {manifest["kind"] for manifest in parse(render(tmp_path))}
    assert {health(cloud)["kind"], "Gateway"} <= kinds
