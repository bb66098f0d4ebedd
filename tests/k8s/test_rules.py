"""Every alert and recording rule fires over series that should make it fire, and is silent over others."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.k8s.rules import CASES, GROUPS, Untested, failures, promtool


def test_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    problems = failures(tmp_path)
    assert not problems, problems


def test_every_rule_has_both_cases() -> None:
    assert Untested.among(CASES).rules == []
    without = [case for case in CASES if case.rule != "BackdropNoReplica"]
    assert Untested.among(without).rules == ["BackdropNoReplica"]


def test_texts_of_annotations_are_templates_that_prometheus_takes(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": GROUPS}))
    run = subprocess.run(
        [promtool(), "check", "rules", "--lint-fatal", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("rule", ["BackdropNoOrchestrator", "backdrop:wait_for_gpus:seconds"])
def test_a_wrong_expectation_is_seen(tmp_path: Path, rule: str) -> None:
    case = next(case for case in CASES if case.rule == rule and case.silent)
    wrong = dataclasses.replace(case, labels={"namespace": "elsewhere"}, value=1.0)
    assert rule in failures(tmp_path, [wrong])
