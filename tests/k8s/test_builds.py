"""Every overlay and combination renders, and is strictly valid for two versions of Kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.k8s import rendering
from tests.k8s.rendering import COMPONENTS, OVERLAYS, Manifest, combinations, combine, overlay

VERSIONS = ("1.36", "1.37")
# Kinds of operators, which Kubernetes' own schema lacks: rendered here, and checked by the tests of their component.
CUSTOM = {
    "external-secrets.io",
    "monitoring.coreos.com",
    "keda.sh",
    "cert-manager.io",
    "gateway.networking.k8s.io",
    "argoproj.io",
}

WHOLE_CLUSTER = {"Namespace", "PriorityClass"}


def invalid(manifests: list[Manifest], version: str) -> list[str]:
    """The schema's errors for the manifests, without the kinds of operators."""
    validate = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate: pip install -e '.[dev]'")
    errors = []
    for manifest in manifests:
        if manifest["apiVersion"].partition("/")[0] in CUSTOM:
            continue
        try:
            validate.validate(manifest, version, strict=True)
        except (validate.ValidationError, validate.SchemaNotFoundError) as problem:
            errors.append(f"{manifest['kind']} {manifest['metadata']['name']}: {problem}")
    return errors


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_are_valid(name: str, version: str) -> None:
    assert invalid(overlay(name), version) == []


def test_an_unknown_field_is_found() -> None:
    service: Manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    assert invalid([service], VERSIONS[0])


# Pairs on one overlay, which has every part of the others: `python -m bench.kubernetes builds` tries all overlays.
COMBINATIONS = [
    chosen for chosen in combinations() if chosen[0] == "production" or len(chosen[1]) in (1, len(COMPONENTS) - 1)
]


@pytest.mark.parametrize(("name", "components"), COMBINATIONS)
def test_combinations_build(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    manifests = combine(tmp_path, name, components)
    keys = [(m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in manifests]
    assert len(set(keys)) == len(keys)
    # A manifest without a namespace lands in the current namespace of the person who applies it.
    assert {namespace for kind, namespace, _ in keys if kind not in WHOLE_CLUSTER} == {"backdrop"}


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_component_is_valid_and_says_what_it_is(tmp_path: Path, component: str) -> None:
    manifests = combine(tmp_path, "gpu", (component,))
    assert manifests != overlay("gpu"), "a component changes something"
    assert invalid(manifests, VERSIONS[-1]) == []
    assert (rendering.K8S / "components" / component / "README.md").is_file()
