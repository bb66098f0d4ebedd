"""Quantities of Kubernetes as numbers, what a pod requests, and what a namespace's quota counts of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from tests.k8s.rendering import Manifest

_UNITS = {"m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(value: str | float) -> float:
    """A quantity such as 500m, 2Gi or 1."""
    match = re.fullmatch(r"([\d.]+)(\w*)", str(value))
    assert match is not None, f"{value!r} is no quantity"
    return float(match[1]) * _UNITS[match[2]]


def _sum(containers: Iterable[Manifest], kind: str) -> dict[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for container in containers:
        for name, value in container.get("resources", {}).get(kind, {}).items():
            total[name] += quantity(value)
    return dict(total)


def is_sidecar(container: Manifest) -> bool:
    """Whether an init container keeps running."""
    return container.get("restartPolicy") == "Always"


def requested(spec: Manifest, kind: str = "requests") -> dict[str, float]:
    """What the scheduler reserves for a pod: its containers' sum, or more where an init container needs more."""
    inits = spec.get("initContainers", [])
    sidecars = [container for container in inits if is_sidecar(container)]
    total = _sum([*spec["containers"], *sidecars], kind)
    for index, container in enumerate(inits):
        # An init container runs with the sidecars that started before it.
        beside = [other for other in inits[:index] if is_sidecar(other)]
        for name, value in _sum([container, *beside], kind).items():
            total[name] = max(total.get(name, 0.0), value)
    return total


def charged(specs: Iterable[Manifest]) -> dict[str, float]:
    """What a ResourceQuota counts of pods, by its keys."""
    total: defaultdict[str, float] = defaultdict(float)
    for spec in specs:
        total["pods"] += 1
        for kind in ("requests", "limits"):
            for name, value in requested(spec, kind).items():
                total[f"{kind}.{name}"] += value
    return dict(total)


def refused(quota: Mapping[str, str], specs: Iterable[Manifest]) -> str:
    """The first key of a quota that pods exceed, in words; empty if they fit."""
    used = charged(specs)
    for key, hard in quota.items():
        if used.get(key, 0.0) > quantity(hard):
            return f"{key} {used[key]:g} of {hard}"
    return ""
