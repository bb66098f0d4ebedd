"""The archive of the manifests: equal bytes for equal content, renders as the checkout does, and only with images."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest

from k8s import bundle, release
from tests.k8s.rendering import K8S, render


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in bundle.PARTS:
        shutil.copytree(K8S / part, tmp_path / "k8s" / part)
    return tmp_path / "k8s"


def test_equal_content_has_equal_bytes(folder: Path) -> None:
    first = bundle.pack(folder)
    for file in folder.rglob("*.yaml"):
        os.utime(file, (1, 1))
        file.chmod(0o600)
    assert bundle.pack(folder) == first == bundle.pack()
    (folder / "base" / "rbac.yaml").write_text("")
    assert bundle.pack(folder) != first


def test_it_is_not_packed_without_images(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = folder / release.FILE.relative_to(K8S)
    images.write_text(release.render({}))
    assert bundle.main([str(tmp_path / "out.tar.gz")], folder) == 1
    assert "engine-builder, models, orchestrator: no image yet" in capsys.readouterr().err
    digest = "sha256:" + "ab" * 32
    assert release.main([f"{name}=example.com/{name}@{digest}" for name in release.NAMES], images) == 0
    assert bundle.main([str(tmp_path / "out.tar.gz")], folder) == 0
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        archive.extractall(tmp_path / "site", filter="data")
    text = render(tmp_path / "site" / "k8s" / "overlays" / "production")
    assert text == render(folder / "overlays" / "production")
    assert "registry.invalid" not in text
