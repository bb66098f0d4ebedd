"""Autoscalers: what they read, their bounds in every overlay, and what they do without numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.autoscaling import Scraped, Weather, simulate
from tests.k8s.rendering import OVERLAYS, combine, of, overlay
from tests.k8s.rules import NS, Case, failures
from tests.k8s.rules import of as series_of

SPLIT = ("split-roles", "monitoring", "keda", "split-roles/keda")
SHIPPED = [(name, components) for name in OVERLAYS for components in (("keda",), SPLIT)]


def scaled(folder: Path, name: str, components: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The ScaledObjects' specs by name."""
    return {m["metadata"]["name"]: m["spec"] for m in of(combine(folder, name, components), "ScaledObject")}


def behavior(spec: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return result


@pytest.mark.parametrize("name", OVERLAYS)
def test_without_keda_the_orchestrator_scales_on_its_own_cpu(name: str) -> None:
    (scaler,) = of(overlay(name), "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    # Of its own container, not of a proxy beside it; as an average, since requests of CPU differ by overlay.
    assert metric["containerResource"]["container"] == "orchestrator"
    assert metric["containerResource"]["target"] == {"type": "AverageValue", "averageValue": "700m"}
    # The autoscaler sets the replicas: a manifest with a number would reset them at every apply.
    assert "replicas" not in of(overlay(name), "Deployment", "orchestrator")[0]["spec"]


@pytest.mark.parametrize(("name", "components"), SHIPPED)
def test_keda_keeps_the_bounds_and_the_behavior_of_the_overlay(
    tmp_path: Path, name: str, components: tuple[str, ...]
) -> None:
    specs = scaled(tmp_path, name, components)
    (base,) = of(overlay(name), "HorizontalPodAutoscaler")
    orchestrator = specs["orchestrator"]
    assert orchestrator["minReplicaCount"] == base["spec"]["minReplicas"]
    assert orchestrator["maxReplicaCount"] == base["spec"]["maxReplicas"]
    assert behavior(orchestrator) == base["spec"]["behavior"]
    triton = of(overlay(name), "Deployment", "triton")[0]["spec"]["replicas"]
    assert specs["triton"]["minReplicaCount"] == triton
    for each in specs.values():
        assert behavior(each)["scaleDown"]["policies"] != [], "without a policy all pods may go at once"
        assert behavior(each)["scaleDown"]["stabilizationWindowSeconds"] >= 300


@pytest.mark.parametrize(("name", "components"), SHIPPED)
def test_no_numbers_are_not_zero(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    for deployment, spec in scaled(tmp_path, name, components).items():
        prometheus = [trigger for trigger in spec["triggers"] if trigger["type"] == "prometheus"]
        assert all(trigger["metadata"]["ignoreNullValues"] == "false" for trigger in prometheus)
        if any(trigger["type"] == "cpu" for trigger in spec["triggers"]):
            # KEDA's fallback would override what CPU asks for.
            assert "fallback" not in spec
        else:
            assert spec["fallback"]["behavior"] == "currentReplicasIfHigher", deployment
            assert spec["fallback"]["replicas"] == spec["minReplicaCount"]


@pytest.mark.parametrize(("name", "components"), SHIPPED)
def test_one_autoscaler_for_each_deployment(tmp_path: Path, name: str, components: tuple[str, ...]) -> None:
    manifests = combine(tmp_path, name, components)
    assert of(manifests, "HorizontalPodAutoscaler") == []
    for spec in (m["spec"] for m in of(manifests, "ScaledObject")):
        (deployment,) = of(manifests, "Deployment", spec["scaleTargetRef"]["name"])
        assert "replicas" not in deployment["spec"]


def test_roles_scale_on_their_own_models(tmp_path: Path) -> None:
    specs = scaled(tmp_path, "gpu", SPLIT)
    for name, sign in (("triton", "!~"), ("triton-denoiser", "=~")):
        queries = [trigger["metadata"]["query"] for trigger in specs[name]["triggers"]]
        assert len(queries) == 2
        assert all(f'model{sign}"denoiser.*"' in query for query in queries)


@pytest.mark.parametrize("name", ["gpu", "production"])
def test_nothing_scales_out_for_what_it_does_not_shorten(tmp_path: Path, name: str) -> None:
    result = simulate(scaled(tmp_path, name, ("monitoring", "keda")))
    assert result.wrong == []
    assert result.removed_while_blind == 0
    assert min(result.scale_outs.values()) >= 3, "a day in which nothing scales shows nothing"


def test_the_simulation_sees_a_wrong_signal(tmp_path: Path) -> None:
    specs = scaled(tmp_path, "production", ("monitoring", "keda"))
    trigger = specs["orchestrator"]["triggers"][0]["metadata"]
    # The wait alone, whatever it is for: orchestrators are added while GPUs are scarce.
    trigger["query"] = 'max(backdrop:oldest_wait:seconds{namespace="backdrop"})'
    assert any("orchestrator" in line for line in simulate(specs).wrong)


def test_a_stall_is_seen_before_anything_is_admitted(tmp_path: Path) -> None:
    specs = scaled(tmp_path, "production", ("monitoring", "keda"))
    result = simulate(specs, lambda now: Weather(6, hang=now >= 3600))
    assert result.most["triton"] == specs["triton"]["maxReplicaCount"]
    assert result.most["orchestrator"] <= 2 * specs["orchestrator"]["minReplicaCount"]


def test_the_rules_compute_what_the_simulation_assumes(tmp_path: Path) -> None:
    day = simulate(scaled(tmp_path, "production", ("monitoring", "keda"))).scraped
    # The first of each kind of state, rounded as scraped values are.
    kinds = {(s.rows_waiting > 0, s.oldest_wait_s > 5, s.recorded()["backdrop:rows:per_replica"] >= 4): s for s in day}
    assert len(kinds) >= 4
    cases = [case for scraped in kinds.values() for case in recorded(scraped)]
    problems = failures(tmp_path, cases)
    assert not problems, problems


def recorded(scraped: Scraped) -> list[Case]:
    """The simulated values of one moment as cases for promtool."""
    state = dataclasses.replace(scraped, rows_out=round(scraped.rows_out), rows_waiting=round(scraped.rows_waiting))
    model = {"pod": "orchestrator-1", "model": "denoiser"}
    series = {
        **series_of("backdrop_rows_out", f"{state.rows_out}x60", **model),
        **series_of("backdrop_rows_waiting", f"{state.rows_waiting}x60", **model),
        **series_of("backdrop_model_replicas", f"{state.replicas}x60", **model),
        **series_of(
            "backdrop_oldest_wait_seconds", f"{state.oldest_wait_s}x60", pod="orchestrator-1", priority="standard"
        ),
    }
    by_model = ("backdrop:rows:present", "backdrop:rows:per_replica", "backdrop:wait_for_gpus:seconds")
    return [
        Case(name, series, NS | ({"model": "denoiser"} if name in by_model else {}), value=round(value, 6))
        for name, value in state.recorded().items()
    ]
