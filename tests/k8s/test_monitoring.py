"""The rules use series that exist, and every alert has a section in the runbook."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.k8s.rendering import K8S, ROOT

FOLDER = K8S / "components" / "monitoring"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
# Triton's series, as its metrics documentation names them.
TRITON = {"nv_inference_queue_duration_us", "nv_inference_request_success"}


def exported() -> set[str]:
    """The orchestrator's series, as its source names them."""
    sources = (ROOT / "orchestrator" / name for name in ("telemetry/metrics.py", "__main__.py"))
    names = {name for source in sources for name in re.findall(r'"(backdrop_\w+)"', source.read_text())}
    return names | {rule["record"] for rule in RULES if "record" in rule}


def expressions() -> list[str]:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    scaled = re.findall(
        r"query: >-\n((?: {10}.*\n)+)", (K8S / "components" / "keda" / "scaled-objects.yaml").read_text()
    )
    assert len(scaled) == 2
    return [rule["expr"] for rule in RULES] + shown + scaled


@pytest.mark.parametrize("expression", expressions())
def test_expressions_are_of_series_that_exist(expression: str) -> None:
    # Label values may look like series. A series name stands before a brace, a bracket or an operator.
    names = set(re.findall(r"\b((?:backdrop|nv)_\w+)", expression))
    assert names
    base = {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
    assert base <= exported() | TRITON


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_place_in_the_runbook(alert: dict[str, object]) -> None:
    link = alert["annotations"]["runbook_url"]  # type: ignore[index]  # yaml's mapping
    file, _, anchor = link.partition("#")
    headings = re.findall(r"^### (\w+)$", (ROOT / file).read_text(), re.M)
    assert anchor in {heading.lower() for heading in headings}
    assert alert["alert"] in headings
