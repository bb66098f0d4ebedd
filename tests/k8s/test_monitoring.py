"""The rules use series that exist, and every alert has a section in the runbook."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.k8s.rendering import K8S, ROOT
from tests.k8s.rules import ALERTS, RULES

RUNBOOK = "https://backdrop.dev/docs/alerts.md#"
FOLDER = K8S / "components" / "monitoring"
# Series of others, as their documentation names them: Triton, kube-state-metrics, kubelet, KEDA, the Redis exporter.
OTHERS = {
    *("nv_inference_queue_duration_us", "nv_inference_request_success", "nv_inference_exec_count"),
    *("nv_inference_count", "nv_inference_compute_infer_duration_us"),
    *("nv_gpu_utilization", "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes", "nv_gpu_power_usage"),
    *("kube_job_failed", "kube_job_status_active", "kube_job_status_start_time"),
    *("kube_persistentvolumeclaim_status_phase", "kube_cronjob_status_last_successful_time"),
    "kube_cronjob_created",
    *("kube_horizontalpodautoscaler_status_desired_replicas", "kube_horizontalpodautoscaler_spec_max_replicas"),
    *("kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_status_condition"),
    "keda_scaler_detail_errors_total",
    *("kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes", "redis_aof_last_write_status"),
    *("redis_memory_used_bytes", "redis_memory_max_bytes", "redis_evicted_keys_total"),
}
SERIES = re.compile(r"\b((?:backdrop|nv|kube|kubelet|keda|redis)[_:][\w:]+)(?!\w*\s*(?:=|!))")


def exported() -> set[str]:
    """The orchestrator's series, as its source names them, and the recorded ones."""
    sources = (ROOT / "orchestrator" / name for name in ("telemetry/metrics.py", "gauges.py"))
    names = {name for source in sources for name in re.findall(r'"(backdrop_\w+)"', source.read_text())}
    return names | {rule["record"] for rule in RULES if "record" in rule}


def queries() -> list[str]:
    """The queries of the autoscalers, with and without separate roles."""
    files = sorted((K8S / "components").rglob("scaled-object*.yaml"))
    scalers = [scaler for file in files for scaler in yaml.safe_load_all(file.read_text())]
    triggers = [trigger["metadata"] for scaler in scalers for trigger in scaler["spec"]["triggers"]]
    return [trigger["query"] for trigger in triggers if "query" in trigger]


def expressions() -> list[str]:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert len(queries()) == 5
    return [rule["expr"] for rule in RULES] + shown + queries()


@pytest.mark.parametrize("expression", expressions())
def test_expressions_are_of_series_that_exist(expression: str) -> None:
    # Label values may look like series, so what stands in quotes does not count.
    names = set(SERIES.findall(re.sub(r'"[^"]*"', '""', expression)))
    assert names
    series = exported() | OTHERS
    assert {name for name in names if name not in series and _of_histogram(name) not in series} == set()


def _of_histogram(name: str) -> str:
    return re.sub(r"_(bucket|count|sum)$", "", name)


def test_autoscalers_read_recorded_series_alone() -> None:
    # promtool tests these; a query of raw series in a ScaledObject is tested by nothing.
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    assert all(set(SERIES.findall(query)) <= recorded for query in queries())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_place_in_the_runbook(alert: dict[str, object]) -> None:
    link = alert["annotations"]["runbook_url"]  # type: ignore[index]  # yaml's mapping
    # Absolute, since it is opened from a message.
    assert link.startswith(RUNBOOK)
    anchor = link.removeprefix(RUNBOOK)
    headings = re.findall(r"^### (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.M)
    assert anchor in {heading.lower() for heading in headings}
    assert alert["alert"] in headings


def test_the_dashboard_has_variables_units_and_legends() -> None:
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "namespace", "pipeline"}
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"]
        for target in panel["targets"]:
            assert target["legendFormat"]
            # A second cell's series must not be added to the first one's unseen.
            assert 'namespace=~"$namespace"' in target["expr"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables | {"__rate_interval"}
    assert any("nv_gpu_utilization" in str(panel) for panel in panels)
