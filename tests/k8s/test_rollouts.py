"""Canaries of orchestrators: one Rollout over the Deployment's pods, judged by the objectives."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s import objectives
from tests.k8s.rendering import Manifest, combine, of
from tests.k8s.rules import Series, promtool
from tests.k8s.rules import of as series_of

NEW, OLD = "6f9c", "58d7"


@pytest.fixture(scope="module", params=[(), ("keda",)], ids=["cpu", "keda"])
def manifests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return combine(tmp_path_factory.mktemp("site"), "production", ("monitoring", *request.param, "rollouts"))


def rollout(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = of(manifests, "Rollout", "orchestrator")[0]["spec"]
    return spec


def test_it_has_the_pods_of_the_deployment(manifests: list[Manifest]) -> None:
    spec = rollout(manifests)
    (deployment,) = of(manifests, spec["workloadRef"]["kind"], spec["workloadRef"]["name"])
    # A selector or a template of its own would be refused, and would miss what other components change.
    assert not {"selector", "template", "replicas"} & spec.keys()
    # Applying the manifests again must not bring the Deployment's pods back.
    assert "replicas" not in deployment["spec"]
    assert spec["workloadRef"]["scaleDown"] == "onsuccess"
    assert spec["progressDeadlineSeconds"] == deployment["spec"]["progressDeadlineSeconds"]
    canary, rolling = spec["strategy"]["canary"], deployment["spec"]["strategy"]["rollingUpdate"]
    assert {side: canary[side] for side in rolling} == rolling
    for spread in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["matchLabelKeys"] == ["rollouts-pod-template-hash"]


def test_the_autoscaler_scales_the_rollout(manifests: list[Manifest]) -> None:
    scalers = of(manifests, "HorizontalPodAutoscaler") + of(manifests, "ScaledObject", "orchestrator")
    (target,) = (scaler["spec"]["scaleTargetRef"] for scaler in scalers)
    assert target == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "orchestrator"}


def test_triton_is_no_canary(manifests: list[Manifest]) -> None:
    # Orchestrators choose Tritons by fingerprint, so a weight would do nothing there.
    assert [each["metadata"]["name"] for each in of(manifests, "Rollout")] == ["orchestrator"]


def test_it_is_judged_from_its_first_step_on(manifests: list[Manifest]) -> None:
    canary = rollout(manifests)["strategy"]["canary"]
    analysis = canary["analysis"]
    (named,) = analysis["templates"]
    (template,) = of(manifests, "AnalysisTemplate", named["templateName"])
    assert {arg["name"] for arg in analysis["args"]} == {arg["name"] for arg in template["spec"]["args"]}
    assert analysis["startingStep"] == 1
    first, pause = canary["steps"][:2]
    assert first["setWeight"] <= 10
    for metric in template["spec"]["metrics"]:
        needed = minutes(metric["initialDelay"]) + (metric["failureLimit"] + 1) * minutes(metric["interval"])
        assert minutes(pause["pause"]["duration"]) > needed, "the share grows only after a verdict"
    (monitor,) = of(manifests, "PodMonitor", "orchestrator")
    assert monitor["spec"]["podTargetLabels"] == ["rollouts-pod-template-hash"]


def minutes(text: str) -> int:
    return int(text.removesuffix("m"))


def measured(name: str, requests: Series, folder: Path) -> float | None:
    """What Prometheus answers to a metric's query for the new pods; None for no series."""
    template = yaml.safe_load(objectives.ANALYSIS.read_text())["spec"]["metrics"]
    (query,) = (metric["provider"]["prometheus"]["query"] for metric in template if metric["name"] == name)
    query = query.replace("{{args.namespace}}", "backdrop").replace("{{args.hash}}", NEW)
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in requests.items()],
        "promql_expr_test": [{"expr": f"round({query}, 1e-6)", "eval_time": "10m", "exp_samples": []}],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    run = subprocess.run(
        [promtool(), "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    values = re.findall(r'namespace="backdrop"\} (\S+)', run.stdout + run.stderr)
    assert run.returncode == 0 or len(set(values)) == 1, run.stdout + run.stderr
    return float(values[0].strip('",')) if values else None


def calls(of_hash: str, ok: int, failed: int, namespace: str = "backdrop") -> Series:
    """Calls of the pods of one template, each minute."""
    labels = {"rollouts_pod_template_hash": of_hash, "pod": f"orchestrator-{of_hash}", "namespace": namespace}
    return {
        **series_of("backdrop_requests_total", f"0+{ok}x20", status="OK", **labels),
        **series_of("backdrop_requests_total", f"0+{failed}x20", status="INTERNAL", **labels),
    }


def starts(of_hash: str, on_time: int, late: int) -> Series:
    """Requests that start within 5 s and later, of the pods of one template."""
    labels = {"rollouts_pod_template_hash": of_hash, "pod": f"orchestrator-{of_hash}"}
    return {
        **series_of("backdrop_queue_seconds_bucket", f"0+{on_time}x20", le="5.0", **labels),
        **series_of("backdrop_queue_seconds_count", f"0+{on_time + late}x20", **labels),
    }


CASES = [
    ("errors", {**calls(NEW, 90, 10), **calls(OLD, 1000, 0)}, 0.1, False),
    ("errors", {**calls(NEW, 100, 0), **calls(OLD, 0, 100)}, 0.0, True),
    # A second cell has the same template, and so the same hash.
    ("errors", {**calls(NEW, 100, 0), **calls(NEW, 0, 100, "second-cell")}, 0.0, True),
    ("errors", {**calls(NEW, 0, 0), **calls(OLD, 100, 0)}, None, None),
    ("late", {**starts(NEW, 50, 50), **starts(OLD, 100, 0)}, 0.5, False),
    ("late", {**starts(NEW, 80, 20), **starts(OLD, 0, 100)}, 0.2, True),
    ("late", starts(OLD, 100, 0), None, None),
]


@pytest.mark.parametrize(("name", "series", "value", "passes"), CASES)
def test_new_pods_are_judged_alone(
    tmp_path: Path, name: str, series: Series, value: float | None, passes: bool | None
) -> None:
    assert measured(name, series, tmp_path) == value
    assert verdict(name, value) == passes


def verdict(name: str, value: float | None) -> bool | None:
    """The conditions as Argo evaluates them: success, failure, or neither."""
    template = yaml.safe_load(objectives.ANALYSIS.read_text())["spec"]["metrics"]
    (metric,) = (metric for metric in template if metric["name"] == name)
    limits = []
    for condition, sign in (("successCondition", "<="), ("failureCondition", ">")):
        match = re.fullmatch(rf"len\(result\) > 0 && result\[0\] {sign} ([\d.]+)", metric[condition])
        assert match is not None
        limits.append(float(match[1]))
    (limit,) = set(limits)
    (objective,) = (one for one in objectives.OBJECTIVES if one.name == name)
    assert limit == pytest.approx(6 * (1 - objective.percent / 100))
    return None if value is None else value <= limit
