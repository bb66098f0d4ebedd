"""Images: by digest where one is known, and an unmistakable placeholder where a release sets it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from k8s import release
from tests.k8s.rendering import OVERLAYS, containers, overlay, workloads

DIGEST = re.compile(r"[\w./-]+:[\w.-]+@sha256:(?!0{64})[0-9a-f]{64}")
PLACEHOLDER = re.compile(r"registry\.invalid/backdrop/[a-z-]+@sha256:0{64}")


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_image_has_a_digest_or_cannot_be_pulled(name: str) -> None:
    images = {container["image"] for workload in workloads(overlay(name)) for container in containers(workload)}
    assert [image for image in images if not DIGEST.fullmatch(image) and not PLACEHOLDER.fullmatch(image)] == []
    assert {image.rpartition("/")[2].partition("@")[0] for image in images if "registry.invalid" in image} <= set(
        release.NAMES
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_triton_has_its_security_fixes(name: str) -> None:
    triton = next(w for w in workloads(overlay(name)) if w["metadata"]["name"] == "triton")
    tag = re.search(r"tritonserver:(\d+)\.(\d+)", containers(triton)[-1]["image"])
    assert tag is not None
    assert (int(tag[1]), int(tag[2])) >= (26, 6)


def test_a_release_writes_digests_and_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "kustomization.yaml"
    file.write_text(release.render({}))
    digest = "sha256:" + "ab" * 32
    assert release.main([f"models=example.com/backdrop/models@{digest}"], file) == 0
    assert release.main([f"orchestrator=example.com/backdrop/orchestrator@{digest}"], file) == 0
    assert release.read(file.read_text()) == {
        "models": ("example.com/backdrop/models", digest),
        "orchestrator": ("example.com/backdrop/orchestrator", digest),
    }


@pytest.mark.parametrize(
    "argument",
    [
        "models=example.com/models:1.0",
        "other=example.com/m@sha256:" + "ab" * 32,
        "models=example.com/m@sha256:" + "00" * 32,
        "models",
    ],
)
def test_a_release_takes_nothing_but_digests(tmp_path: Path, argument: str) -> None:
    file = tmp_path / "kustomization.yaml"
    file.write_text(release.render({}))
    assert release.main([argument], file) == 1
    assert release.read(file.read_text()) == {}


def test_the_committed_file_is_what_the_command_writes() -> None:
    text = release.FILE.read_text()
    assert release.render(release.read(text)) == text
