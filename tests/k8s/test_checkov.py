"""checkov reports 0 failed and 0 skipped checks on every overlay: alone, with each component, and with all."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from tests.k8s import checking
from tests.k8s.rendering import COMPONENTS, Manifest, overlay, pod, workloads


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_checkov_finds_nothing(tmp_path: Path) -> None:
    findings = checking.everything(tmp_path, 1, len(COMPONENTS))
    assert findings.failed == ()
    assert findings.skipped == ()
    assert findings.passed > 3_000, "it looked at what it should"


@pytest.mark.slow
def test_checkov_finds_what_is_wrong(tmp_path: Path) -> None:
    triton: Manifest = next(w for w in workloads(overlay("cpu")) if w["metadata"]["name"] == "triton")
    triton = copy.deepcopy(triton)
    del pod(triton)["containers"][0]["securityContext"]
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(triton))
    assert any("CKV_K8S_22" in line for line in checking.check(tmp_path).failed)
