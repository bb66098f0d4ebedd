"""The namespace's quota holds every combination that is shipped, at the autoscalers' maximum and during a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.quotas import refused, unlimited
from tests.k8s.rendering import COMPONENTS, OVERLAYS, Manifest, combinations, combine, of, overlay

SPLIT = ("split-roles", "keda", "split-roles/keda")
# The order of READMEs: split-roles first; components that have components of their own come with these.
NESTED = [(name, (*SPLIT, *more)) for name in OVERLAYS for more in ((), ("multi-gpu",), ("mig",), ("time-slicing",))]
LARGEST = [*((name, ()) for name in OVERLAYS), *combinations(len(COMPONENTS)), *NESTED[-4:]]


@pytest.mark.parametrize(("name", "components"), LARGEST)
def test_the_quota_holds_the_largest_that_is_shipped(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    manifests = combine(tmp_path, name, components)
    assert refused(manifests) == []
    assert unlimited(manifests) == []


@pytest.mark.full
@pytest.mark.parametrize(("name", "components"), [*combinations(1, 2), *NESTED])
def test_the_quota_refuses_nothing_that_is_shipped(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    assert refused(combine(tmp_path, name, components)) == []


def test_a_quota_that_is_too_small_is_seen() -> None:
    manifests: list[Manifest] = [*overlay("production")]
    (quota,) = of(manifests, "ResourceQuota")
    small = {**quota, "spec": {"hard": {**quota["spec"]["hard"], "requests.nvidia.com/gpu": "2"}}}
    (line,) = refused([*(m for m in manifests if m is not quota), small])
    assert line.startswith("requests.nvidia.com/gpu: ")
