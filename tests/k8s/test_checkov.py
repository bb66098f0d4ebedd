"""checkov reports 0 failed and 0 skipped checks on the Dockerfiles and every overlay: alone and with components."""

from __future__ import annotations

import copy
import shutil

import pytest
import yaml

from tests.k8s import checking
from tests.k8s.checking import Findings
from tests.k8s.rendering import COMPONENTS, K8S, Manifest, overlay, pod, workloads

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WRONG = "wrong.yaml"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    """One run over all manifests, one more that is wrong, and the Dockerfiles."""
    folder = checking.different(tmp_path_factory.mktemp("checkov"), 1, len(COMPONENTS))
    triton: Manifest = copy.deepcopy(next(w for w in workloads(overlay("cpu")) if w["metadata"]["name"] == "triton"))
    del pod(triton)["containers"][0]["securityContext"]
    (folder / WRONG).write_text(yaml.safe_dump(triton))
    for file in (K8S / "images").glob("*.Dockerfile"):
        shutil.copy(file, folder)
    return checking.check(folder, "kubernetes", "dockerfile")


def test_manifests_have_no_findings(findings: dict[str, Findings]) -> None:
    manifests = findings["kubernetes"]
    assert [line for line in manifests.failed if not line.endswith(f" in {WRONG}")] == []
    assert manifests.skipped == ()
    assert manifests.passed > 3_000, "it looked at what it should"


def test_dockerfiles_have_no_findings(findings: dict[str, Findings]) -> None:
    images = findings["dockerfile"]
    assert (images.failed, images.skipped) == ((), ())
    assert images.passed > 20, "it looked at what it should"


def test_a_manifest_that_is_wrong_has(findings: dict[str, Findings]) -> None:
    assert any("CKV_K8S_22" in line for line in findings["kubernetes"].failed)
