"""The overlays of GKE, EKS and AKS: rendered, valid, installed in the simulation, on volumes that we may write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.k8s.rendering import CLOUDS, combine, containers, of, overlay, pod, settings, workloads
from tests.k8s.simulation.cluster import Cluster
from tests.k8s.test_builds import VERSIONS, invalid
from tests.k8s.test_reach import ORCHESTRATOR, address_passes, rules
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


BALANCERS = {
    "gke": ("gateway/gke",),
    "eks": ("../overlays/eks/health", "gateway/load-balancer"),
    "aks": ("../overlays/aks/health", "gateway/load-balancer"),
}
"""Components of each cloud's load balancer, after `gateway`."""
ADDRESSES = {"gke": "35.191.4.4", "eks": "10.0.7.7", "aks": "10.0.7.7"}
"""From where load balancers reach pods."""
IDENTITY = dict.fromkeys(CLOUDS, ("identity", "identity/gateway")) | {
    "gke": ("identity", "identity/gateway", "identity/gateway/gke")
}


@pytest.mark.parametrize("tls", [pytest.param(False, marks=pytest.mark.full), True], ids=["plain", "identity"])
def test_its_balancer_asks_for_health_in_plain_text(tmp_path: Path, cloud: str, tls: bool) -> None:
    components = ("gateway", *BALANCERS[cloud], *(IDENTITY[cloud] if tls else ()))
    manifests = combine(tmp_path, cloud, components)
    (health,) = of(manifests, "HealthCheckPolicy") or of(manifests, "TargetGroupConfiguration")
    port = int(settings(manifests)["BACKDROP_HEALTH_LISTEN"].rpartition(":")[2])
    assert re.findall(r"\b5006\d\b", str(health["spec"])) == [str(port)]
    (container,) = pod(of(manifests, "Deployment", "orchestrator")[0])["containers"]
    assert port in [each["containerPort"] for each in container["ports"]]
    target = health["spec"].get("targetRef") or health["spec"]["targetReference"]
    (service,) = of(manifests, "Service", target["name"])
    admitted = rules(manifests, "ingress", ORCHESTRATOR)
    for reached in (port, service["spec"]["ports"][0]["port"]):
        assert address_passes(admitted, "from", ADDRESSES[cloud], reached)
    # Without identities the server's own port is plain text as well; with them it is TLS, which gRPC needs by HTTP/2.
    protocols = {"gke": "HTTP2"} if tls else {}
    expected = protocols.get(cloud, "https" if tls else "kubernetes.io/h2c")
    assert service["spec"]["ports"][0]["appProtocol"] == expected
    if cloud == "eks":
        assert health["spec"]["defaultConfiguration"].get("protocol") == ("HTTPS" if tls else None)
