"""Promises of the manifests about reliability and security that no checker covers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from orchestrator.settings import Settings
from tests.k8s.rendering import (
    OVERLAYS,
    ROOT,
    Manifest,
    combine,
    containers,
    flags,
    of,
    overlay,
    pod,
    settings,
    workloads,
)
from tests.k8s.simulation.resources import requested

SERVING = ("orchestrator", "triton", "redis")
MARGIN_S = 10
"""Seconds to close after the last request: unloading models, closing connections."""
NODE_LOCAL_DNS = "169.254.20.10/32"
MEMORY = {"Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


@pytest.fixture(params=[*OVERLAYS, "gpu split-roles"], scope="module")
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    name, *components = request.param.split()
    return combine(tmp_path_factory.mktemp("site"), name, tuple(components)) if components else overlay(name)


def serving(manifests: list[Manifest], name: str) -> Manifest:
    return next(w for w in workloads(manifests) if w["metadata"]["name"] == name)


def main_container(workload: Manifest) -> Manifest:
    container: Manifest = pod(workload)["containers"][0]
    return container


def pre_stop_s(container: Manifest) -> int:
    return int(container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0))


def in_bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w*)", quantity).groups()  # type: ignore[union-attr]  # fails the test
    return int(number) * MEMORY.get(unit, 1)


def test_grace_periods_add_up(manifests: list[Manifest]) -> None:
    triton, orchestrator = serving(manifests, "triton"), serving(manifests, "orchestrator")
    exit_s = int(flags(main_container(triton))["exit-timeout-secs"])
    drain_s = float(settings(manifests)["BACKDROP_DRAIN_TIMEOUT_S"])
    for workload, needed in ((triton, exit_s), (orchestrator, drain_s + 1)):
        stop_s = pre_stop_s(main_container(workload))
        # Discovery uses a changed set of pods within 2 s, so the pod must answer for that long.
        assert stop_s > 2
        assert pod(workload)["terminationGracePeriodSeconds"] >= stop_s + needed + MARGIN_S


def test_a_step_fits_into_tritons_exit(manifests: list[Manifest]) -> None:
    step_s = float(settings(manifests).get("BACKDROP_STEP_TIMEOUT_S", Settings.model_fields["step_timeout_s"].default))
    assert int(flags(main_container(serving(manifests, "triton")))["exit-timeout-secs"]) >= step_s


def test_settings_are_settings(manifests: list[Manifest]) -> None:
    names = {f"BACKDROP_{name.upper()}" for name in Settings.model_fields}
    assert settings(manifests).keys() <= names
    values = {name.removeprefix("BACKDROP_").lower(): value for name, value in settings(manifests).items()}
    Settings(**values)  # type: ignore[arg-type]  # as the environment would give them


@pytest.mark.parametrize("name", SERVING)
def test_probes_mean_what_they_say(manifests: list[Manifest], name: str) -> None:
    container = main_container(serving(manifests, name))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        assert probe["timeoutSeconds"] <= probe["periodSeconds"]
        target = probe.get("grpc", {}).get("port") or probe.get("tcpSocket", {}).get("port")
        assert target is None or ports.get(target, target) in ports.values()
    startup, ready, alive = (container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe"))
    # Readiness fails before liveness restarts the pod.
    assert ready["periodSeconds"] * ready["failureThreshold"] < alive["periodSeconds"] * alive["failureThreshold"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


def test_liveness_of_the_orchestrator_is_not_its_readiness(manifests: list[Manifest]) -> None:
    container = main_container(serving(manifests, "orchestrator"))
    # Health has a port of its own, which is plain text also where callers need TLS: a kubelet's probes speak none.
    port = int(settings(manifests)["BACKDROP_HEALTH_LISTEN"].rpartition(":")[2])
    assert container["livenessProbe"]["grpc"] == {"port": port, "service": "live"}
    assert container["readinessProbe"]["grpc"]["port"] == port
    assert container["readinessProbe"]["grpc"].get("service", "") == ""


def test_an_engine_has_time_to_load(manifests: list[Manifest]) -> None:
    triton, orchestrator = serving(manifests, "triton"), serving(manifests, "orchestrator")
    probe = main_container(triton)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 1200
    assert float(settings(manifests)["BACKDROP_STARTUP_TIMEOUT_S"]) >= 1200
    for workload in (triton, orchestrator):
        assert workload["spec"]["progressDeadlineSeconds"] >= 1200


def test_a_rollout_never_takes_the_last_pod(manifests: list[Manifest]) -> None:
    rolling = serving(manifests, "orchestrator")["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0
    triton = serving(manifests, "triton")
    rolling = triton["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxUnavailable"] == 0 or triton["spec"]["replicas"] > rolling["maxUnavailable"]


def test_every_serving_pod_has_a_budget(manifests: list[Manifest]) -> None:
    budgets = {
        budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]: budget["spec"]
        for budget in of(manifests, "PodDisruptionBudget")
    }
    assert set(SERVING) <= budgets.keys()
    assert all(budget["maxUnavailable"] == 1 for budget in budgets.values())


def test_pods_are_spread(manifests: list[Manifest]) -> None:
    for name in ("orchestrator", "triton"):
        workload = serving(manifests, name)
        labels = workload["spec"]["template"]["metadata"]["labels"]
        spread = pod(workload)["topologySpreadConstraints"]
        assert {s["topologyKey"] for s in spread} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(s["labelSelector"]["matchLabels"].items() <= labels.items() for s in spread)


def test_containers_are_locked_down(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        spec = pod(workload)
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in containers(workload):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "runAsUser" not in context


def test_no_token_where_none_is_needed(manifests: list[Manifest]) -> None:
    assert all(account["automountServiceAccountToken"] is False for account in of(manifests, "ServiceAccount"))
    for workload in workloads(manifests):
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] != "default"
        projected = [source for volume in spec["volumes"] for source in volume.get("projected", {}).get("sources", [])]
        tokens = [source["serviceAccountToken"] for source in projected if "serviceAccountToken" in source]
        assert bool(tokens) == (workload["metadata"]["name"] == "orchestrator")
        assert all(token["expirationSeconds"] <= 3600 for token in tokens)


def test_permissions_are_to_read_endpoint_slices(manifests: list[Manifest]) -> None:
    rules = [rule for role in of(manifests, "Role") for rule in role["rules"]]
    assert rules == [
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}
    ]
    assert of(manifests, "ClusterRole") == []
    assert of(manifests, "ClusterRoleBinding") == []


def test_secrets_are_files(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        for container in containers(workload):
            assert not any("secretKeyRef" in entry.get("valueFrom", {}) for entry in container.get("env", []))
            assert not any("secretRef" in entry for entry in container.get("envFrom", []))
    for config in of(manifests, "ConfigMap"):
        assert not re.search(r"redis://[^@\s]*:[^@\s]+@", str(config["data"]))


def test_resources_are_bounded(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        for container in containers(workload):
            request, limit = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory", "ephemeral-storage"} <= request.keys()
            assert {"cpu", "memory", "ephemeral-storage"} <= limit.keys()
            assert request.get("nvidia.com/gpu") == limit.get("nvidia.com/gpu")
        if workload["kind"] != "Job":
            # A full node first evicts pods that use more than their request.
            memory = main_container(workload)["resources"]
            assert memory["requests"]["memory"] == memory["limits"]["memory"]


def test_a_pods_disk_holds_what_its_volumes_may(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        volumes = [volume["emptyDir"] for volume in pod(workload).get("volumes", []) if "emptyDir" in volume]
        disk = sum(in_bytes(volume["sizeLimit"]) for volume in volumes if volume.get("medium") != "Memory")
        assert requested(pod(workload))["ephemeral-storage"] >= disk


def test_shared_memory_is_sized_and_within_the_limit(manifests: list[Manifest]) -> None:
    triton = serving(manifests, "triton")
    mounts = {mount["mountPath"]: mount["name"] for mount in main_container(triton)["volumeMounts"]}
    shm = next(v["emptyDir"] for v in pod(triton)["volumes"] if v["name"] == mounts["/dev/shm"])
    assert shm["medium"] == "Memory"
    assert in_bytes(shm["sizeLimit"]) < in_bytes(main_container(triton)["resources"]["limits"]["memory"])


def test_redis_evicts_before_it_is_killed(manifests: list[Manifest]) -> None:
    config = next(c["data"]["redis.conf"] for c in of(manifests, "ConfigMap") if "redis.conf" in c["data"])
    most = int(re.search(r"^maxmemory (\d+)gb$", config, re.M)[1]) << 30  # type: ignore[index]  # fails the test
    assert most * 1.2 <= in_bytes(main_container(serving(manifests, "redis"))["resources"]["limits"]["memory"])
    assert "maxmemory-policy volatile-lru" in config, "campaigns have no expiry and are never evicted"


def test_models_are_read_only_but_for_the_container_that_writes_them(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        volumes = {volume["name"]: volume for volume in pod(workload).get("volumes", [])}
        for container in containers(workload):
            for mount in container.get("volumeMounts", []):
                claim = volumes.get(mount["name"], {}).get("persistentVolumeClaim", {})
                writes = (container["name"], claim.get("claimName")) in (
                    ("publish", "model-store"),
                    ("fit-engines", "engine-store"),
                )
                if claim and not writes:
                    assert mount.get("readOnly")
                    assert claim.get("readOnly") or claim["claimName"] == "engine-store"


def test_what_a_container_mounts_is_there(manifests: list[Manifest]) -> None:
    configs = {m["metadata"]["name"] for m in of(manifests, "ConfigMap")} | {"kube-root-ca.crt"}
    claims = {m["metadata"]["name"] for m in of(manifests, "PersistentVolumeClaim")}
    accounts = {m["metadata"]["name"] for m in of(manifests, "ServiceAccount")}
    classes = {m["metadata"]["name"] for m in of(manifests, "PriorityClass")}
    for workload in workloads(manifests):
        spec = pod(workload)
        templates = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
        names = {volume["name"] for volume in spec.get("volumes", [])} | templates
        for container in containers(workload):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= names
        for volume in spec.get("volumes", []):
            assert volume.get("configMap", {}).get("name", "kube-root-ca.crt") in configs
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "model-store") in claims
        assert spec["serviceAccountName"] in accounts
        assert spec["priorityClassName"] in classes


def test_triton_does_inference_by_grpc_and_nothing_else(manifests: list[Manifest]) -> None:
    arguments = flags(main_container(serving(manifests, "triton")))
    # The models to load are fixed at start, in either mode; no outside client can load more.
    assert arguments["model-control-mode"] == ("explicit" if "load-model" in arguments else "none")
    assert arguments["strict-readiness"] == "true"
    assert arguments["allow-http"] == "false"
    (restricted,) = re.findall(
        r'--grpc-restricted-protocol="(\S+)"', main_container(serving(manifests, "triton"))["command"][3]
    )
    closed, _, key = restricted.partition(":")
    assert set(closed.split(",")) == {"shared-memory", "model-repository", "trace", "logging"}
    assert key == "backdrop-pod=$key"


def test_no_key_is_a_field_that_others_may_read(manifests: list[Manifest]) -> None:
    # EndpointSlices show a pod's UID, name, address, node and zone to everybody who may list them.
    shown = {"metadata.uid", "metadata.name", "status.podIP", "spec.nodeName"}
    for workload in workloads(manifests):
        for container in containers(workload):
            fields = {
                entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") for entry in container.get("env", [])
            }
            assert not fields & shown


def test_nvidias_images_start_by_their_entry_point(manifests: list[Manifest]) -> None:
    # It is what makes a container of a newer CUDA run on an older driver.
    for workload in workloads(manifests):
        for container in containers(workload):
            if re.search(r"/(tritonserver|engine-builder)[:@]", container["image"]):
                assert container["command"][0] == "/opt/nvidia/nvidia_entrypoint.sh"
    assert re.search(r"driver.*R\d{3} or later", (ROOT / "docs" / "operations.md").read_text())


def test_a_digest_is_pulled_once(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        for container in containers(workload):
            assert "@sha256:" in container["image"]
            assert container["imagePullPolicy"] == "IfNotPresent", "a node that has it needs no registry"


def test_triton_serves_engines_on_gpus(manifests: list[Manifest]) -> None:
    triton = serving(manifests, "triton")
    has_gpu = "nvidia.com/gpu" in main_container(triton)["resources"]["limits"]
    arguments = flags(main_container(triton))
    assert (arguments.get("model-config-name") == "tensorrt") == has_gpu
    assert arguments["allow-gpu-metrics"] == ("true" if has_gpu else "false")


# The complete list of allowed connections between callers and our pods.
EDGES = {("caller", "orchestrator", 50061), ("orchestrator", "triton", 8001), ("orchestrator", "redis", 6379)}


def selected(policy: Manifest, labels: dict[str, str]) -> bool:
    labels_selected = policy["spec"]["podSelector"].get("matchLabels", {})
    return bool(labels_selected.items() <= labels.items())


def test_every_pod_has_a_policy_and_the_default_is_deny(manifests: list[Manifest]) -> None:
    policies = of(manifests, "NetworkPolicy")
    default = next(p for p in policies if p["spec"]["podSelector"] == {})
    assert default["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for workload in workloads(manifests):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert [p for p in policies if p is not default and selected(p, labels)]


def peers(rule: dict[str, Any], side: str) -> list[str]:
    """The names that these tests use for a rule's peers."""
    names = []
    for peer in rule[side]:
        labels = peer.get("podSelector", {}).get("matchLabels", {})
        if "ipBlock" in peer:
            names.append("dns" if peer["ipBlock"]["cidr"] == NODE_LOCAL_DNS else "api-server")
        elif "k8s-app" in labels:
            names.append("dns")
        elif "namespaceSelector" in peer:
            names.append("caller")
        else:
            names.append(labels["app.kubernetes.io/name"])
    return names


def test_only_the_listed_edges_are_open(manifests: list[Manifest]) -> None:
    ingress, egress = set(), set()
    for policy in of(manifests, "NetworkPolicy"):
        name = policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            ingress |= {(peer, name, port["port"]) for peer in peers(rule, "from") for port in rule["ports"]}
        for rule in policy["spec"].get("egress", []):
            egress |= {(name, peer, port["port"]) for peer in peers(rule, "to") for port in rule["ports"]}
    assert ingress == EDGES
    assert egress == {edge for edge in EDGES if edge[0] != "caller"} | {
        ("orchestrator", "dns", 53),
        ("orchestrator", "api-server", 443),
        ("orchestrator", "api-server", 6443),
    }
