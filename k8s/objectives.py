"""`python -m k8s.objectives` writes the objectives as Prometheus rules, for sloth, and for Argo Rollouts.

All files come from `OBJECTIVES`, so the alerts that page, the levels of sloth and the judgement of canaries agree.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

_COMPONENTS = Path(__file__).parent / "components"
RULES = _COMPONENTS / "monitoring" / "objectives.yaml"
SLOTH = _COMPONENTS / "monitoring" / "sloth" / "service-level.yaml"
ANALYSIS = _COMPONENTS / "rollouts" / "analysis.yaml"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What share of requests has to be good over 30 days.

    Attributes:
        name: in the names of its series.
        alert: what the names of its alerts begin with.
        percent: of requests that are good.
        goal: the objective in words.
        symptom: what its alerts say.
        bad: PromQL for the rate of requests that are not good, one value a namespace; `WINDOW` is its range.
        total: PromQL for the rate of all; no value where there are none, since 0 of 0 is no failure.
    """

    name: str
    alert: str
    percent: float
    goal: str
    symptom: str
    bad: str
    total: str

    def ratio(self, window: str) -> str:
        """PromQL for the share of requests that are not good."""
        return f"({self.bad}) / ({self.total})".replace("WINDOW", window)

    @property
    def budget(self) -> str:
        """The share of requests that may fail to be good."""
        return f"{(100 - self.percent) / 100:g}"


_REQUESTS = "sum by (namespace) (rate(backdrop_requests_total[WINDOW]))"
_FAILED = 'sum by (namespace) (rate(backdrop_requests_total{status=~"INTERNAL|UNAVAILABLE|UNKNOWN|DATA_LOSS"}[WINDOW]))'
# A call that comes while nobody used the models is told when they serve: the operator's choice, and no failure.
_COLD = "sum by (namespace) (rate(backdrop_cold_refusals_total[WINDOW]))"
_STARTED = "sum by (namespace) (rate(backdrop_queue_seconds_count[WINDOW]))"
_ON_TIME = 'sum by (namespace) (rate(backdrop_queue_seconds_bucket{le="5.0"}[WINDOW]))'

OBJECTIVES = (
    Objective(
        name="errors",
        alert="BackdropErrorsBurn",
        percent=99.5,
        goal="99.5 % of requests do not fail on the server's side.",
        symptom="Requests fail on the server's side",
        # A status that never occurred has no series.
        bad=f"{_FAILED} - ({_COLD} or 0 * {_REQUESTS}) or 0 * {_REQUESTS}",
        total=f"{_REQUESTS} > 0",
    ),
    Objective(
        name="late",
        alert="BackdropLateBurn",
        percent=95,
        goal="95 % of requests start within 5 s.",
        symptom="Requests start later than 5 s after they arrived",
        bad=f"{_STARTED} - {_ON_TIME}",
        total=f"{_STARTED} > 0",
    ),
)


@dataclasses.dataclass(frozen=True)
class _Burn:
    """An alert of every objective; `windows` are (short, long, burn rate), as in the SRE workbook."""

    suffix: str
    severity: str
    lasts: str
    windows: tuple[tuple[str, str, str], ...]


_BURNS = (
    _Burn("Fast", "critical", "in hours", (("5m", "1h", "14.4"), ("30m", "6h", "6"))),
    _Burn("Slow", "warning", "before the month ends", (("2h", "1d", "3"), ("6h", "3d", "1"))),
)

_HEAD = """\
# Written by `python -m k8s.objectives`, which has the objectives.
"""


def rules() -> str:
    """The PrometheusRule: a recorded ratio for each window, and the alerts with burn rates."""
    lines = [
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        "  name: backdrop-objectives",
        "  namespace: backdrop",
        "spec:",
        "  groups:",
        f"    # Objectives over 30 days: {' '.join(objective.goal for objective in OBJECTIVES)}",
        "    - name: backdrop-objectives",
        "      rules:",
    ]
    for objective in OBJECTIVES:
        for window in WINDOWS:
            lines.append(f"        - record: backdrop:{objective.name}:ratio_rate{window}")
            lines.append(f"          expr: >-\n            {objective.ratio(window)}")
    lines += [
        "    # Burn rates: the share of a month's budget that the windows use up (2 % in 1 h, 5 % in 6 h; 10 % in 1",
        "    # and in 3 days).",
        "    - name: backdrop-burn-rates",
        "      rules:",
    ]
    lines += [_alert(objective, burn) for objective in OBJECTIVES for burn in _BURNS]
    return _HEAD + "\n".join(lines) + "\n"


def _alert(objective: Objective, burn: _Burn) -> str:
    name, series = objective.alert + burn.suffix, f"backdrop:{objective.name}:ratio_rate"
    pairs = [
        " and ".join(f"{series}{window} > {rate} * {objective.budget}" for window in (short, long))
        for short, long, rate in burn.windows
    ]
    summary = (
        f"{objective.symptom}, so often that the objective's budget is used up {burn.lasts}: "
        "{{ $value | humanizePercentage }} now."
    )
    return f"""\
        - alert: {name}
          expr: >-
            ({pairs[0]})
            or ({pairs[1]})
          for: 2m
          labels: {{ severity: {burn.severity} }}
          annotations:
            summary: "{summary}"
            runbook_url: https://backdrop.dev/docs/alerts.md#{name.lower()}"""


def service_level() -> str:
    """sloth's PrometheusServiceLevel. Its alerts are off: those of the rules page already."""
    levels = [
        f"""\
    - name: {objective.name}
      description: "{objective.goal}"
      objective: {objective.percent:g}
      sli:
        events:
          errorQuery: >-
            {objective.bad.replace("WINDOW", "{{.window}}")}
          totalQuery: >-
            {objective.total.replace("WINDOW", "{{.window}}")}
      alerting:
        name: {objective.alert}
        pageAlert: {{ disable: true }}
        ticketAlert: {{ disable: true }}"""
        for objective in OBJECTIVES
    ]
    head = """\
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata:
  name: backdrop
  namespace: backdrop
spec:
  service: backdrop
  slos:
"""
    return _HEAD + head + "\n".join(levels) + "\n"


# The pods of the newest template, in the namespace of the Rollout.
_CANARY = 'namespace="{{args.namespace}}",rollouts_pod_template_hash="{{args.hash}}"'
_CANARY_BURN = 6
"""The burn rate at which a canary is given up: it would use 5 % of a month's budget in six hours."""


def analysis() -> str:
    """The AnalysisTemplate of Argo Rollouts. No requests are no verdict: such a rollout pauses."""
    metrics = [_measured(objective) for objective in OBJECTIVES]
    head = """\
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: objectives
  namespace: backdrop
spec:
  args:
    - name: namespace
    - name: hash
  metrics:
"""
    return _HEAD + head + "\n".join(metrics) + "\n"


def _measured(objective: Objective) -> str:
    # A selector for every series; some have matchers already.
    query = re.sub(r"(backdrop_\w+)(\{)?", lambda m: f"{m[1]}{{{_CANARY}{',' if m[2] else '}'}", objective.ratio("5m"))
    limit = f"{_CANARY_BURN * (100 - objective.percent) / 100:g}"
    return f"""\
    - name: {objective.name}
      # The range of the query.
      initialDelay: 5m
      interval: 1m
      failureLimit: 1
      inconclusiveLimit: 4
      successCondition: len(result) > 0 && result[0] <= {limit}
      failureCondition: len(result) > 0 && result[0] > {limit}
      provider:
        prometheus:
          address: http://prometheus-operated.monitoring.svc:9090
          query: >-
            {query}"""


FILES = {RULES: rules, SLOTH: service_level, ANALYSIS: analysis}


def main() -> int:
    """Writes all files."""
    for file, render in FILES.items():
        file.write_text(render())
        sys.stdout.write(f"{file.name} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
