"""What a rendering needs of its ResourceQuota: autoscalers at their maximum, a rollout, and all Jobs at once."""

from __future__ import annotations

import math
import re
from collections import defaultdict

from tests.k8s.rendering import Manifest, of, pod, workloads

_UNITS = {"": 1.0, "m": 1e-3, "k": 1e3} | {f"{letter}i": 2.0 ** (10 * (n + 1)) for n, letter in enumerate("KMGTP")}


def number(quantity: str | int) -> float:
    """A Kubernetes quantity as a number."""
    digits, unit = re.fullmatch(r"([\d.]+)(\w*)", str(quantity)).groups()  # type: ignore[union-attr]  # fails the test
    return float(digits) * _UNITS[unit]


def refused(manifests: list[Manifest]) -> list[str]:
    """The lines of the quota that the workloads exceed, each with what is needed and what is allowed."""
    (quota,) = of(manifests, "ResourceQuota")
    needs = _needs(manifests)
    return [
        f"{name}: {needs[name]:g} of {hard}"
        for name, hard in quota["spec"]["hard"].items()
        if needs[name] > number(hard)
    ]


def unlimited(manifests: list[Manifest]) -> list[str]:
    """Extended resources that the workloads request and the quota does not name."""
    (quota,) = of(manifests, "ResourceQuota")
    return [name for name in _needs(manifests) if "nvidia.com/" in name and name.startswith("requests.") and
            name not in quota["spec"]["hard"]]  # fmt: skip


def _needs(manifests: list[Manifest]) -> defaultdict[str, float]:
    needs: defaultdict[str, float] = defaultdict(float)
    for workload in workloads(manifests):
        pods = _pods(manifests, workload)
        needs["pods"] += pods
        for name, amount in _of_pod(workload).items():
            needs[name] += amount * pods
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            _claim(needs, claim)
    for claim in of(manifests, "PersistentVolumeClaim"):
        _claim(needs, claim)
    return needs


def _claim(needs: defaultdict[str, float], claim: Manifest) -> None:
    needs["persistentvolumeclaims"] += 1
    needs["requests.storage"] += number(claim["spec"]["resources"]["requests"]["storage"])


def _pods(manifests: list[Manifest], workload: Manifest) -> int:
    """Pods at the most: the autoscaler's maximum, those that a rollout adds, and those that it stops."""
    if workload["kind"] in ("Job", "CronJob"):
        return 1
    name, most = workload["metadata"]["name"], int(workload["spec"].get("replicas", 1))
    for kind, field in (("HorizontalPodAutoscaler", "maxReplicas"), ("ScaledObject", "maxReplicaCount")):
        for scaler in of(manifests, kind):
            if scaler["spec"]["scaleTargetRef"]["name"] == name:
                most = max(most, int(scaler["spec"][field]))
    rolling = workload["spec"].get("strategy", {}).get("rollingUpdate", {})
    return most + sum(_count(rolling.get(side, 0), most) for side in ("maxSurge", "maxUnavailable"))


def _count(value: int | str, of_pods: int) -> int:
    return math.ceil(int(value.rstrip("%")) / 100 * of_pods) if isinstance(value, str) else value


def _of_pod(workload: Manifest) -> dict[str, float]:
    """Requests and limits of a pod: the sum of its containers and sidecars, or its largest init container."""
    spec = pod(workload)
    inits = spec.get("initContainers", [])
    lasting = [*spec["containers"], *(c for c in inits if c.get("restartPolicy") == "Always")]
    total: defaultdict[str, float] = defaultdict(float)
    for container in lasting:
        for name, amount in _of_container(container).items():
            total[name] += amount
    for container in inits:
        for name, amount in _of_container(container).items():
            total[name] = max(total[name], amount)
    return dict(total)


def _of_container(container: Manifest) -> dict[str, float]:
    resources = container["resources"]
    return {f"{side}.{name}": number(q) for side in ("requests", "limits") for name, q in resources[side].items()}
