"""What may reach the pods and what they may reach: gateways, load balancers, collectors, stores, identities."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.rendering import OVERLAYS, Manifest, combine, of, pod, settings

ORCHESTRATOR = {"app.kubernetes.io/name": "orchestrator"}
PROXY = {"gateway.networking.k8s.io/gateway-name": "backdrop"}
PUBLISHER = {"app.kubernetes.io/component": "job-with-network"}


def rules(manifests: list[Manifest], side: str, labels: dict[str, str]) -> list[dict[str, Any]]:
    """The rules of all policies that select a pod with the labels, the one that selects every pod aside."""
    return [
        rule
        for policy in of(manifests, "NetworkPolicy")
        if (selected := policy["spec"]["podSelector"].get("matchLabels")) and selected.items() <= labels.items()
        for rule in policy["spec"].get(side, [])
    ]


def address_passes(chosen: list[dict[str, Any]], peers: str, address: str, port: int) -> bool:
    """Whether a rule admits an address outside the cluster at a port."""
    ip = ipaddress.ip_address(address)
    for rule in chosen:
        blocks = [peer["ipBlock"] for peer in rule.get(peers, []) if "ipBlock" in peer]
        inside = peers not in rule or any(
            ip in ipaddress.ip_network(block["cidr"])
            and not any(ip in ipaddress.ip_network(cut) for cut in block.get("except", []))
            for block in blocks
        )
        if inside and any(each["port"] == port for each in rule["ports"]):
            return True
    return False


def pod_passes(chosen: list[dict[str, Any]], peers: str, labels: dict[str, str], namespace: str, port: int) -> bool:
    """Whether a rule admits a pod with labels in a namespace (empty = the same) at a port."""
    for rule in chosen:
        for peer in rule.get(peers, []):
            spaces = peer.get("namespaceSelector", {}).get("matchLabels", {})
            here = spaces.get("kubernetes.io/metadata.name", "") == namespace
            own = peer.get("podSelector", {}).get("matchLabels", {})
            this_port = any(each["port"] == port for each in rule["ports"])
            if here and this_port and "ipBlock" not in peer and own.items() <= labels.items():
                return True
    return False


@pytest.mark.parametrize("name", OVERLAYS)
def test_load_balancers_have_time_to_learn_that_a_pod_stops(tmp_path: Path, name: str) -> None:
    manifests = combine(tmp_path, name, ("gateway",))
    spec = pod(of(manifests, "Deployment", "orchestrator")[0])
    stop_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert stop_s >= 30
    drain_s = float(settings(manifests)["BACKDROP_DRAIN_TIMEOUT_S"])
    assert spec["terminationGracePeriodSeconds"] >= stop_s + drain_s + 1 + 10


def test_envoy_cuts_no_stream(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("gateway", "gateway/envoy"))
    (policy,) = of(manifests, "BackendTrafficPolicy")
    (target,) = policy["spec"]["targetRefs"]
    assert of(manifests, target["kind"], target["name"])
    http = policy["spec"]["timeout"]["http"]
    # 0 is no bound; else as long as the orchestrator itself lets a stream be.
    assert {http["requestTimeout"], http["maxStreamDuration"]} <= {"0s", "3600s"}


def test_googles_load_balancers_reach_pods_and_ask_for_health_by_grpc(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("gateway", "gateway/gke"))
    admitted = rules(manifests, "ingress", ORCHESTRATOR)
    assert address_passes(admitted, "from", "35.191.4.4", 50061)
    assert address_passes(admitted, "from", "130.211.1.1", 50061)
    assert address_passes(admitted, "from", "35.191.4.4", 50062), "their health checks"
    assert not address_passes(admitted, "from", "35.192.0.1", 50061)
    (health,) = of(manifests, "HealthCheckPolicy")
    assert health["spec"]["default"]["config"]["grpcHealthCheck"]["port"] == 50062
    (backend,) = of(manifests, "GCPBackendPolicy")
    assert backend["spec"]["default"]["timeoutSec"] >= 3600
    for policy in (health, backend):
        assert of(manifests, "Service", policy["spec"]["targetRef"]["name"])


def test_a_load_balancer_by_ip_reaches_pods(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("gateway", "gateway/load-balancer"))
    assert address_passes(rules(manifests, "ingress", ORCHESTRATOR), "from", "10.0.7.7", 50061)


def test_a_proxy_in_our_namespace_is_admitted_by_policies_and_quota(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("gateway", "gateway/istio"))
    assert address_passes(rules(manifests, "ingress", PROXY), "from", "203.0.113.9", 443)
    ways_out = rules(manifests, "egress", PROXY)
    assert pod_passes(ways_out, "to", ORCHESTRATOR, "", 50061)
    assert pod_passes(ways_out, "to", {}, "istio-system", 15012)
    assert pod_passes(rules(manifests, "ingress", ORCHESTRATOR), "from", PROXY, "", 50061)
    hard = of(manifests, "ResourceQuota")[0]["spec"]["hard"]
    assert int(hard["services.loadbalancers"]) >= 1
    assert int(hard["services.nodeports"]) >= 2


def test_spans_reach_the_collector_that_the_settings_name(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("monitoring", "monitoring/tracing"))
    address = settings(manifests)["BACKDROP_OTLP_ENDPOINT"].removeprefix("http://")
    host, _, port = address.rpartition(":")
    collector = {"app.kubernetes.io/name": "opentelemetry-collector"}
    assert pod_passes(rules(manifests, "egress", ORCHESTRATOR), "to", collector, host.split(".")[1], int(port))


@pytest.mark.parametrize(
    ("address", "port", "passes"),
    [
        ("52.219.1.1", 443, True),
        ("2600:1f18::1", 443, True),
        ("169.254.170.23", 80, True),  # EKS Pod Identity
        ("169.254.169.252", 988, True),  # GKE's metadata server
        ("169.254.169.254", 80, False),  # the node's own role
        ("fd00:ec2::254", 443, False),
    ],
)
def test_the_publisher_reaches_stores_and_identities_alone(
    tmp_path: Path, address: str, port: int, passes: bool
) -> None:
    manifests = combine(tmp_path, "production", ("object-store",))
    assert address_passes(rules(manifests, "egress", PUBLISHER), "to", address, port) == passes


def test_a_store_inside_the_cluster_is_reached(tmp_path: Path) -> None:
    manifests = combine(tmp_path, "production", ("object-store", "object-store/private"))
    ports = [port["port"] for rule in rules(manifests, "egress", PUBLISHER) for port in rule["ports"]]
    assert 9000 in ports
