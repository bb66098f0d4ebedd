"""Jobs under kubectl apply, Argo CD and Flux: a release changes none in place, and none is made anew by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k8s import release
from tests.k8s.rendering import K8S, Manifest, combine, of, parse, render

CALLERS = ("smoke-test", "load-test")


def released(folder: Path, letter: str, components: str = "") -> list[Manifest]:
    """Production with images of one digest, as the command of a release writes it."""
    shutil.copytree(K8S, folder, ignore=shutil.ignore_patterns("__pycache__"))
    images = folder / release.FILE.relative_to(K8S)
    assert release.main([f"{name}=example.com/{name}@sha256:{letter * 64}" for name in release.NAMES], images) == 0
    site = folder / "site"
    site.mkdir()
    lines = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../overlays/production]\n"
    (site / "kustomization.yaml").write_text(lines + components)
    return parse(render(site))


@pytest.mark.parametrize("components", ["", "components: [../components/object-store]\n"], ids=["image", "bucket"])
def test_a_release_changes_no_job_in_place(tmp_path: Path, components: str) -> None:
    before, after = (
        {job["metadata"]["name"]: job for job in of(released(tmp_path / letter, letter, components), "Job")}
        for letter in "ab"
    )
    assert len(before) == len(after) == 1
    changed = [name for name in before.keys() & after.keys() if before[name]["spec"] != after[name]["spec"]]
    assert changed == [], "apply refuses to change a Job"


def test_no_job_removes_itself_and_is_made_anew(tmp_path: Path) -> None:
    for job in of(combine(tmp_path, "production", CALLERS), "Job"):
        # A sync makes what is missing, so it would run the Job again each time that its TTL ends.
        assert "ttlSecondsAfterFinished" not in job["spec"]
        annotations = job["metadata"]["annotations"]
        assert annotations["kustomize.toolkit.fluxcd.io/force"] == "enabled"
        hook = annotations.get("argocd.argoproj.io/hook-delete-policy") == "BeforeHookCreation"
        assert hook or "Replace=true" in annotations["argocd.argoproj.io/sync-options"]
