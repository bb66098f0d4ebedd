"""Series for every rule of the `monitoring` component: some that make it fire, and some that must not.

promtool (Debian's package `prometheus`) evaluates the rules over them.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.k8s.rendering import K8S

FILES = [K8S / "components" / "monitoring" / name for name in ("rules.yaml", "objectives.yaml")]
GROUPS: list[dict[str, Any]] = [group for file in FILES for group in yaml.safe_load(file.read_text())["spec"]["groups"]]
RULES: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]

Series = Mapping[str, str]
"""A series → its values, in promtool's notation: start+step×count, one for each minute."""


@dataclass(frozen=True)
class Case:
    """One rule over some series.

    Attributes:
        rule: its name.
        series: what is scraped.
        labels: of the alert that fires, or of the recorded sample; None = nothing fires, nothing is recorded.
        at: when it is looked at.
        value: of the recorded sample.
        fires: False for a recorded sample that stands for "nothing is wrong".
    """

    rule: str
    series: Series
    labels: Mapping[str, str] | None
    at: str = "30m"
    value: float | None = None
    fires: bool = True

    @property
    def silent(self) -> bool:
        """Whether the rule must not fire here."""
        return self.labels is None or not self.fires


NS = {"namespace": "backdrop"}
POD = NS | {"pod": "orchestrator-1"}


def of(name: str, values: str, **labels: str) -> Series:
    """One series of the first cell."""
    pairs = ",".join(f'{key}="{value}"' for key, value in {**NS, **labels}.items())
    return {f"{name}{{{pairs}}}": values}


def requests(ok: int, bad: int, minutes: int, status: str = "UNAVAILABLE") -> Series:
    """Requests that end well and badly, each minute."""
    return {
        **of("backdrop_requests_total", f"0+{ok}x{minutes}", pod="orchestrator-1", status="OK"),
        **of("backdrop_requests_total", f"0+{bad}x{minutes}", pod="orchestrator-1", status=status),
    }


def queue(on_time: int, late: int, minutes: int) -> Series:
    """Requests that start within 5 s and later, each minute."""
    return {
        **of("backdrop_queue_seconds_bucket", f"0+{on_time}x{minutes}", pod="orchestrator-1", le="5.0"),
        **of("backdrop_queue_seconds_count", f"0+{on_time + late}x{minutes}", pod="orchestrator-1"),
    }


def rows(out: int, waiting: int, replicas: int, wait_s: float = 0, priority: str = "standard") -> Series:
    """Rows of the denoiser, in two orchestrators, its replicas, and the age of the oldest request."""
    pods = ("orchestrator-1", "orchestrator-2")
    return {
        key: value
        for pod in pods
        for series in (
            of("backdrop_rows_out", f"{out}x60", pod=pod, model="denoiser"),
            of("backdrop_rows_waiting", f"{waiting}x60", pod=pod, model="denoiser"),
            of("backdrop_model_replicas", f"{replicas}x60", pod=pod, model="denoiser"),
            of("backdrop_oldest_wait_seconds", f"{wait_s if pod == pods[0] else 0}x60", pod=pod, priority=priority),
        )
        for key, value in series.items()
    }


def replicas(ready: int, expected: int) -> Series:
    """Tritons that serve, and whether any should."""
    return {
        **of("backdrop_ready_replicas", f"{ready}x60", pod="a"),
        **of("backdrop_replicas_expected", f"{expected}x60", pod="a"),
    }


def idle(values: str, pod: str = "orchestrator-1") -> Series:
    """Seconds since an orchestrator's last call."""
    return of("backdrop_idle_seconds", values, pod=pod)


def alert(name: str, fires: Series, silent: Sequence[Series], labels: Mapping[str, str], at: str = "30m") -> list[Case]:
    """Cases of an alert; its severity is added to the labels."""
    (severity,) = (rule["labels"] for rule in RULES if rule.get("alert") == name)
    return [Case(name, fires, {**labels, **severity}, at), *(Case(name, series, None, at) for series in silent)]


def record(
    name: str, series: Series, value: float, quiet: Series, quiet_value: float | None, **labels: str
) -> list[Case]:
    """Cases of a recorded series; a `quiet_value` of None = nothing is recorded."""
    expected = {**NS, **labels}
    return [
        Case(name, series, expected, value=value),
        Case(name, quiet, None if quiet_value is None else expected, value=quiet_value, fires=False),
    ]


def _ratios() -> list[Case]:
    cases = []
    for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d"):
        cases += record(f"backdrop:errors:ratio_rate{window}", requests(75, 25, 60), 0.25, requests(99, 0, 60), 0)
        cases += [Case(f"backdrop:errors:ratio_rate{window}", requests(0, 0, 60), None)]
        cases += record(f"backdrop:late:ratio_rate{window}", queue(75, 25, 60), 0.25, queue(100, 0, 60), 0)
        cases += [Case(f"backdrop:late:ratio_rate{window}", queue(0, 0, 60), None)]
    return cases


JOB = {"job_name": "build-engines-6f2c"}
CLAIM = {"persistentvolumeclaim": "engine-store"}
SCALER = {"horizontalpodautoscaler": "keda-hpa-triton-denoiser"}
CACHE = {"pod": "orchestrator-1"}
BACKUP = {"cronjob": "backup-redis"}


def volume(available: str) -> Series:
    """A volume of 100 bytes."""
    return {
        **of("kubelet_volume_stats_available_bytes", available, **CLAIM),
        **of("kubelet_volume_stats_capacity_bytes", "100x60", **CLAIM),
    }


def scaler(desired: str) -> Series:
    """An autoscaler with a maximum of 16."""
    return {
        **of("kube_horizontalpodautoscaler_status_desired_replicas", desired, **SCALER),
        **of("kube_horizontalpodautoscaler_spec_max_replicas", "16x60", **SCALER),
    }


def job(active: int, since: int) -> Series:
    """A Job that began at a time."""
    return {
        **of("kube_job_status_active", f"{active}x200", **JOB),
        **of("kube_job_status_start_time", f"{since}x200", **JOB),
    }


def serving(*values: str) -> Series:
    """Whether each of some orchestrators serves."""
    pods = [of("backdrop_serving", value, pod=f"orchestrator-{n}") for n, value in enumerate(values, 1)]
    return {key: value for series in pods for key, value in series.items()}


CASES: list[Case] = [
    *record("backdrop:rows:present", rows(3, 5, 2), 16, rows(0, 0, 2), 0, model="denoiser"),
    Case("backdrop:rows:present", {}, None),
    *record("backdrop:rows:per_replica", rows(3, 5, 2), 8, rows(0, 0, 2), 0, model="denoiser"),
    Case("backdrop:rows:per_replica", rows(1, 1, 0), {**NS, "model": "denoiser"}, value=4),
    *record("backdrop:oldest_wait:seconds", rows(0, 0, 2, 7), 7, rows(0, 0, 2), 0),
    Case("backdrop:oldest_wait:seconds", rows(0, 0, 2, 7, "bulk"), None),
    *record("backdrop:wait_for_gpus:seconds", rows(3, 1, 2, 7), 7, rows(1, 0, 2, 7), 0, model="denoiser"),
    *record("backdrop:wait_for_orchestrators:seconds", rows(1, 0, 2, 7), 7, rows(3, 1, 2, 7), 0),
    *record("backdrop:in_use:bool", idle("7x60"), 1, idle("301x60"), 0),
    # One orchestrator had a call, and the other none since its start.
    Case("backdrop:in_use:bool", {**idle(" ".join(["Inf"] * 60)), **idle("10x60", "orchestrator-2")}, NS, value=1),
    *_ratios(),
    # Of 100 calls a minute, 20 came while no replica was expected, and 5 failed.
    Case("backdrop:errors:ratio_rate5m", {**requests(75, 25, 60), **of("backdrop_cold_refusals_total", "0+20x60")}, NS,
         value=0.05),
    *alert("BackdropErrorsBurnFast", requests(80, 20, 90),
           [requests(995, 5, 90), requests(80, 20, 90, "NOT_FOUND"), {}], NS, "80m"),
    # An error of ten minutes after two good hours: the long window does not confirm it.
    *[Case("BackdropErrorsBurnFast", {**requests(1000, 0, 400), **of(
        "backdrop_requests_total", "0x300 0+60x2 120x100", pod="orchestrator-1", status="INTERNAL")}, None, "6h")],
    *alert("BackdropErrorsBurnSlow", requests(980, 20, 1500), [requests(998, 2, 1500)], NS, "25h"),
    *alert("BackdropLateBurnFast", queue(10, 90, 90), [queue(96, 4, 90), {}], NS, "80m"),
    *alert("BackdropLateBurnSlow", queue(80, 20, 1500), [queue(97, 3, 1500)], NS, "25h"),
    *alert("BackdropNoOrchestrator", serving("0x60", "0x60"), [serving("0x60", "1x60"), {}], NS),
    # All pods are gone, with their series: the namespace was there an hour ago.
    Case("BackdropNoOrchestrator", serving("1x5"), {**NS, "severity": "critical"}),
    *alert("BackdropOrchestratorNotReady", serving("0x60", "1x60"), [serving("0x5 1x60", "1x60")], POD),
    *alert("BackdropNoReplica", replicas(0, 1),
           [{**replicas(0, 1), **of("backdrop_ready_replicas", "1x60", pod="b")}, replicas(0, 0), replicas(2, 0)], NS),
    *alert("BackdropQueueLong", rows(0, 0, 2, 12), [rows(0, 0, 2, 3), rows(0, 0, 2, 12, "bulk")], NS),
    *alert("BackdropReplicaFails",
           of("backdrop_replica_failures_total", "0+10x60", replica="10.0.0.7:8001", outcome="timeout"),
           [of("backdrop_replica_failures_total", "0+1x60", replica="10.0.0.7:8001", outcome="timeout")],
           NS | {"replica": "10.0.0.7:8001", "outcome": "timeout"}),
    *alert("BackdropCacheDown", of("backdrop_redis_available", "0x60", **CACHE),
           [of("backdrop_redis_available", "1x60", **CACHE)], POD),
    *alert("BackdropCacheRefuses", of("backdrop_cache_lookups_total", "0+5x60", outcome="redis_refused", **CACHE),
           [of("backdrop_cache_lookups_total", "0+5x60", outcome="redis_hit", **CACHE),
            of("backdrop_cache_lookups_total", "0x5 3x60", outcome="redis_refused", **CACHE)], POD),
    *alert("BackdropCacheOpen", of("backdrop_cache_lookups_total", "0+1x60", outcome="breaker_opened", **CACHE),
           [of("backdrop_cache_lookups_total", "0x5 1x60", outcome="breaker_opened", **CACHE)], POD),
    *alert("BackdropJobFailed", of("kube_job_failed", "1x60", condition="true", **JOB),
           [of("kube_job_failed", "1x60", condition="false", **JOB),
            of("kube_job_failed", "1x60", condition="true", job_name="somebody-elses")], NS | JOB),
    *alert("BackdropJobStuck", job(1, 0), [job(0, 0), job(1, 7200)], NS | JOB, "150m"),
    *alert("BackdropVolumeFull", volume("5x60"), [volume("50x60")], NS | CLAIM),
    *alert("BackdropVolumePending", of("kube_persistentvolumeclaim_status_phase", "1x60", phase="Pending", **CLAIM),
           [of("kube_persistentvolumeclaim_status_phase", "1x60", phase="Bound", **CLAIM),
            of("kube_persistentvolumeclaim_status_phase", "1x5 0x60", phase="Pending", **CLAIM)], NS | CLAIM),
    *alert("BackdropScalerAtMaximum", scaler("16x60"), [scaler("12x60"), scaler("16x5 9x60")], NS | SCALER, "40m"),
    *alert("BackdropScalerBlind", of("kube_horizontalpodautoscaler_status_condition", "1x60", condition="ScalingActive",
                                     status="false", **SCALER),
           [of("kube_horizontalpodautoscaler_status_condition", "1x60", condition="ScalingActive", status="true",
               **SCALER),
            # An autoscaler of no pods is never active.
            {**of("kube_horizontalpodautoscaler_status_condition", "1x60", condition="ScalingActive", status="false",
                  **SCALER), **of("kube_horizontalpodautoscaler_status_current_replicas", "0x60", **SCALER)}],
           NS | SCALER),
    *alert("BackdropScalerErrors",
           of("keda_scaler_detail_errors_total", "0+4x60", exported_namespace="backdrop", scaledObject="triton"),
           [of("keda_scaler_detail_errors_total", "4x60", exported_namespace="backdrop", scaledObject="triton")],
           {"exported_namespace": "backdrop", "scaledObject": "triton"}),
    *alert("BackdropRedisNotPersisted", of("redis_aof_last_write_status", "0x60", pod="redis-0"),
           [of("redis_aof_last_write_status", "1x60", pod="redis-0")], NS | {"pod": "redis-0"}),
    *alert("BackdropBackupOld", of("kube_cronjob_status_last_successful_time", "0x300", **BACKUP),
           [of("kube_cronjob_status_last_successful_time", "0+60x300", **BACKUP),
            # Of an old CronJob the latest success counts, and a new one has had no time.
            {**of("kube_cronjob_status_last_successful_time", "14400x300", **BACKUP),
             **of("kube_cronjob_created", "0x300", **BACKUP)},
            of("kube_cronjob_created", "14400x300", **BACKUP)], NS | BACKUP, "270m"),
    # No backup has ever succeeded.
    Case("BackdropBackupOld", of("kube_cronjob_created", "0x300", **BACKUP), NS | BACKUP | {"severity": "warning"},
         "270m"),
]  # fmt: skip


# The groups whose recorded series a group reads.
_READS = {"backdrop-burn-rates": ("backdrop-objectives",), "backdrop-alerts": ("backdrop-scaling",)}


@dataclass
class Untested:
    """Rules without a case that makes them fire, or without one in which they are silent."""

    rules: list[str] = field(default_factory=list)

    @classmethod
    def among(cls, cases: Sequence[Case]) -> Untested:
        """Looks at all rules."""
        names = [rule.get("alert") or rule["record"] for rule in RULES]
        firing = {case.rule for case in cases if not case.silent}
        silent = {case.rule for case in cases if case.silent}
        return cls([name for name in names if name not in firing & silent])


def promtool() -> str:
    """The command; skips the test where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool: install Debian's package `prometheus`")
    return program


def failures(folder: Path, cases: Sequence[Case] = tuple(CASES)) -> str:
    """What promtool says of the cases: empty when all hold."""
    # promtool compares annotations as well; their texts are not what is tested.
    bare = [{**group, "rules": [_without_annotations(rule) for rule in group["rules"]]} for group in GROUPS]
    for group in bare:
        (folder / f"{group['name']}.rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    files = []
    # promtool evaluates every rule of a file from the start of its series: few rules, and seldom, saves most of it.
    for group, (long, interval) in itertools.product(bare, ((False, "5m"), (True, "30m"))):
        names = {rule.get("alert") or rule["record"] for rule in group["rules"]}
        chosen = [case for case in cases if case.rule in names and case.at.endswith("h") == long]
        if not chosen:
            continue
        order = [*_READS.get(group["name"], ()), group["name"]]
        tests = {
            "rule_files": [f"{name}.rules.yaml" for name in order],
            # Without it the order is random, and what is recorded at a time may be read before.
            "group_eval_order": order,
            "evaluation_interval": interval,
            "tests": [_test(case) for case in chosen],
        }
        files.append(f"{group['name']}.{interval}.yaml")
        (folder / files[-1]).write_text(yaml.safe_dump(tests))
    command = [promtool(), "test", "rules", *files]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def _without_annotations(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in rule.items() if key != "annotations"}


def _test(case: Case) -> dict[str, Any]:
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
    }
    if any(rule.get("alert") == case.rule for rule in RULES):
        expected = [] if case.labels is None else [{"exp_labels": dict(case.labels)}]
        test["alert_rule_test"] = [{"eval_time": case.at, "alertname": case.rule, "exp_alerts": expected}]
        return test
    labels = "" if case.labels is None else ", ".join(f'{key}="{value}"' for key, value in case.labels.items())
    samples = [] if case.labels is None else [{"labels": f"{{{labels}}}", "value": case.value}]
    # Rounded, since promtool compares floats exactly.
    test["promql_expr_test"] = [{"expr": f"round({case.rule}, 1e-6)", "eval_time": case.at, "exp_samples": samples}]
    return test
