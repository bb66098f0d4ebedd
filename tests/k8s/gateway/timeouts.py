"""The gateway's timeouts as the manifests ship them, read from a rendering."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from tests.k8s.rendering import K8S, Manifest, of, parse, render

PROXIES = ("components/gateway/envoy", "components/gateway/gke", "overlays/eks/health")
"""What copies the timeouts into a proxy's own kind."""


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """Seconds that a proxy gives a stream."""

    stream_s: int
    """From its first byte to its last."""
    silence_s: int
    """Between two messages."""


def source(manifests: list[Manifest]) -> Timeouts:
    """The annotations of the GRPCRoute, from which every proxy has its values."""
    (route,) = of(manifests, "GRPCRoute")
    named = route["metadata"]["annotations"]
    return Timeouts(*(seconds(named[f"backdrop.dev/longest-{kind}"]) for kind in ("stream", "silence")))


def seconds(text: str) -> int:
    """A duration such as 900s."""
    match = re.fullmatch(r"(\d+)s", text)
    assert match is not None, f"{text!r} is no number of seconds"
    return int(match[1])


def gateways(folder: Path, patch: str = "") -> list[Manifest]:
    """Production with the gateway and all proxies; `patch` changes the GRPCRoute before proxies copy from it."""
    up = Path(*[".."] * len(folder.resolve().parts[1:]), *K8S.parts[1:])
    components = [f"{up}/components/gateway", *(f"{up}/{proxy}" for proxy in PROXIES)]
    folder.mkdir(parents=True)
    if patch:
        components.insert(1, "changed")
        (folder / "changed").mkdir()
        (folder / "changed" / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
            f"patches: [{{ target: {{ kind: GRPCRoute }}, patch: '{patch}' }}]\n"
        )
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources: [{up}/overlays/production]\ncomponents: [{', '.join(components)}]\n"
    )
    return parse(render(folder))
