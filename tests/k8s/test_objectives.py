"""The objectives: rules that page and levels for sloth come from one source, and say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # of kubernetes-validate
import pytest
import yaml

from k8s import objectives
from tests.k8s.cells import cell
from tests.k8s.rendering import Manifest, combine, of
from tests.k8s.rules import RULES

# The fields of sloth's PrometheusServiceLevel (v1) that are used, and no others.
_ALERT = {"type": "object", "additionalProperties": False, "properties": {"disable": {"type": "boolean"}}}
_EVENTS = ("errorQuery", "totalQuery")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["service", "slos"],
    "properties": {
        "service": {"type": "string"},
        "slos": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["alerting", "name", "objective", "sli"],
                "properties": {
                    "name": {"type": "string", "maxLength": 128},
                    "description": {"type": "string"},
                    "objective": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                    "sli": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["events"],
                        "properties": {
                            "events": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": [*_EVENTS],
                                "properties": {
                                    name: {"type": "string", "pattern": r"\{\{\.window\}\}"} for name in _EVENTS
                                },
                            }
                        },
                    },
                    "alerting": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}, "pageAlert": _ALERT, "ticketAlert": _ALERT},
                    },
                },
            },
        },
    },
}


def level() -> Manifest:
    manifest: Manifest = yaml.safe_load(objectives.SLOTH.read_text())
    return manifest


LEVELS = level()["spec"]["slos"]


@pytest.mark.parametrize("file", objectives.FILES, ids=lambda file: file.name)
def test_files_are_current(file: Path) -> None:
    assert file.read_text() == objectives.FILES[file](), "run `python -m k8s.objectives`"


def test_the_schema_of_sloth_takes_them() -> None:
    jsonschema.validate(level()["spec"], SCHEMA)


@pytest.mark.parametrize("slo", LEVELS, ids=lambda slo: slo["name"])
def test_levels_and_rules_agree(slo: dict[str, Any]) -> None:
    events = slo["sli"]["events"]
    recorded = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
    for window in objectives.WINDOWS:
        # As sloth divides the two.
        ratio = "({errorQuery}) / ({totalQuery})".format(**events).replace("{{.window}}", window)
        assert recorded[f"backdrop:{slo['name']}:ratio_rate{window}"] == ratio
    alerts = [rule for rule in RULES if rule.get("alert", "").startswith(slo["alerting"]["name"])]
    assert {rule["labels"]["severity"] for rule in alerts} == {"critical", "warning"}
    for rule in alerts:
        limits = re.findall(rf"backdrop:{slo['name']}:ratio_rate\w+ > [\d.]+ \* ([\d.]+)", rule["expr"])
        assert len(limits) == 4
        assert [float(limit) for limit in limits] == pytest.approx([1 - slo["objective"] / 100] * 4)
    # Both would page for the same burn.
    assert slo["alerting"]["pageAlert"] == slo["alerting"]["ticketAlert"] == {"disable": True}


@pytest.mark.full
def test_sloth_is_a_component_and_counts_every_cell_once(tmp_path: Path) -> None:
    chosen = ("monitoring", "monitoring/sloth")
    (manifest,) = of(combine(tmp_path / "first", "gpu", chosen), "PrometheusServiceLevel")
    assert manifest["spec"] == level()["spec"]
    assert of(cell(tmp_path / "second", "gpu", chosen), "PrometheusServiceLevel") == []
