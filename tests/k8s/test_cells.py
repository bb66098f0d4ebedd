"""A second cell names nothing of the first one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s.cells import SECOND, cell, references
from tests.k8s.rendering import COMPONENTS, OVERLAYS, combinations, overlay
from tests.k8s.test_builds import WHOLE_CLUSTER

EVERYTHING = [chosen for chosen in combinations(len(COMPONENTS)) if chosen[0] == "production"]


@pytest.mark.parametrize(("name", "components"), [*((name, ()) for name in OVERLAYS), *EVERYTHING])
def test_a_second_cell_is_apart(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    manifests = cell(tmp_path, name, components)
    assert references(manifests) == []
    namespaces = {m["metadata"].get("namespace") for m in manifests if m["kind"] not in WHOLE_CLUSTER}
    assert namespaces == {SECOND}
    assert {m["metadata"]["name"] for m in manifests if m["kind"] == "Namespace"} == {SECOND}


@pytest.mark.full
@pytest.mark.parametrize(("name", "components"), [*combinations(1, 2)])
def test_every_pair_of_components_is_apart(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    assert references(cell(tmp_path, name, components)) == []


def test_references_are_seen() -> None:
    # The first cell refers to itself.
    places = "\n".join(references(overlay("production")))
    assert "RoleBinding orchestrator-follows-triton .subjects.0.namespace" in places
    text = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "redis://redis.backdrop:6379"}}
    query = {"kind": "ScaledObject", "metadata": {"name": "x"}, "query": 'sum(up{namespace="backdrop"})'}
    assert len(references([text, query])) == 2
