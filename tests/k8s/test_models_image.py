"""Models on the nodes: the repository is a volume of the release's image, which each node pulls once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.k8s.rendering import K8S, Manifest, containers, parse, render, site, workloads

DIGEST = "sha256:" + "5" * 64
IMAGE = f"shop.example/models@{DIGEST}"


def manifests(folder: Path, overlay: str, *components: str) -> list[Manifest]:
    """A site of the overlay whose models image has a name."""
    folder = site(folder, overlay, components)
    file = folder / "kustomization.yaml"
    images = f"images: [{{ name: registry.invalid/backdrop/models, newName: shop.example/models, digest: '{DIGEST}' }}]"
    file.write_text(f"{file.read_text()}{images}\n")
    return parse(render(folder))


def volumes(workload: Manifest) -> list[dict[str, Any]]:
    """The pod's volumes."""
    spec: list[dict[str, Any]] = workload["spec"]["template"]["spec"].get("volumes", [])
    return spec


@pytest.mark.parametrize(
    ("overlay", "components"),
    [("cpu", ()), ("gpu", ("split-roles",)), ("production", ("split-roles", "signed-models"))],
)
def test_every_reader_mounts_the_image_and_nothing_is_published(
    tmp_path: Path, overlay: str, components: tuple[str, ...]
) -> None:
    before = manifests(tmp_path / "before", overlay, *components)
    after = manifests(tmp_path / "after", overlay, *components, "models/image-volume")
    names = {(each["kind"], each["metadata"]["name"]) for each in before} - {
        (each["kind"], each["metadata"]["name"]) for each in after
    }
    assert names == {("Job", "publish-models"), ("PersistentVolumeClaim", "model-store")}
    readers = [each for each in workloads(before) if "model-store" in str(volumes(each)) and each["kind"] != "Job"]
    assert len(readers) >= 2
    for reader in readers:
        (same,) = (each for each in workloads(after) if each["metadata"]["name"] == reader["metadata"]["name"])
        (store,) = (volume for volume in volumes(same) if volume["name"] == "store")
        assert store.keys() == {"name", "image"}
        assert store["image"]["pullPolicy"] == "IfNotPresent"
        assert store["image"]["reference"] == IMAGE
        mounts = [mount for container in containers(same) for mount in container["volumeMounts"]]
        assert {(each["mountPath"], each["readOnly"]) for each in mounts if each["name"] == "store"} == {
            ("/store", True)
        }
        # Nothing else of the pod changes.
        assert [volume for volume in volumes(same) if volume["name"] != "store"] == [
            volume for volume in volumes(reader) if volume["name"] != "store"
        ]


def test_the_image_has_the_repository_where_pods_look_for_it() -> None:
    text = (K8S / "images" / "orchestrator.Dockerfile").read_text()
    assert "COPY --chown=10001:10001 triton_repo /repository\n" in text
    assert "publish --from /repository --to /repository\n" in text
    base = parse(render(K8S / "overlays" / "cpu"))
    arguments = [
        argument for each in workloads(base) for container in containers(each) for argument in container.get("args", ())
    ]
    assert "--model-repository=/store/repository" in arguments
