"""A second cell as its README describes it, and what in it still names the first cell's namespace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s.rendering import K8S, Manifest, parse, render, site

FIRST = "backdrop"
SECOND = "second-cell"
_REFERENCES = (
    re.compile(rf"[\w-]\.{FIRST}(\.svc\b|[:/,]|$)"),  # an address
    re.compile(rf'namespace\s*[=!]~?\s*\\?"{FIRST}\\?"'),  # a matcher of PromQL
    re.compile(rf"serviceaccount:{FIRST}:"),  # an identity
)


def cell(folder: Path, name: str, components: tuple[str, ...]) -> list[Manifest]:
    """The manifests of a second cell of an overlay and components."""
    workloads = site(folder / "workloads", name, components) / "kustomization.yaml"
    workloads.write_text(workloads.read_text() + f"namespace: {SECOND}\n")
    up = Path(*[".."] * len(folder.resolve().parts[1:]), *K8S.parts[1:])
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources: [workloads]"]
    (folder / "kustomization.yaml").write_text("\n".join([*lines, f"components: [{up}/cell]"]) + "\n")
    return parse(render(folder))


def references(manifests: list[Manifest]) -> list[str]:
    """Where the manifests name the first cell's namespace: kind, name, path and text of each place."""
    return [
        f"{manifest['kind']} {manifest['metadata']['name']} {path}: {text}"
        for manifest in manifests
        for path, text in _texts(manifest, "")
        if (path.endswith(".namespace") and text == FIRST) or any(each.search(text) for each in _REFERENCES)
    ]


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{number}")
    elif isinstance(value, str):
        yield path, value
