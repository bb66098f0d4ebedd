"""Marks of the manifests that need no cluster: autoscalers over a simulated day, rules, quotas and a second cell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figure, at_most
from tests.k8s import cells, quotas, rules
from tests.k8s.autoscaling import simulate
from tests.k8s.rendering import COMPONENTS, Manifest, combinations, combine
from tests.k8s.test_quotas import NESTED
from tests.k8s.test_scaling import scaled

_COMMAND = "python -m bench.kubernetes"


def scaling() -> list[Figure]:
    """Scale-outs of a tier that had capacity to spare, over a simulated day with six incidents."""
    wrong, total = list[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("gpu", "production"):
            day = simulate(scaled(Path(folder) / name, name, ("monitoring", "keda")))
            wrong += [f"{name}: {line}" for line in day.wrong]
            total += sum(day.scale_outs.values())
    mark = at_most(0, "; ".join(wrong[:3]))
    spread = f"{total} scale-outs of the rendered ScaledObjects of gpu and production"
    return [Figure("simulated: scale-outs in the wrong direction", len(wrong), mark, f"{_COMMAND} scaling", spread)]


def alerting() -> list[Figure]:
    """Rules without a case that makes them fire or without one in which they are silent; all, if a case fails."""
    with tempfile.TemporaryDirectory() as folder:
        problems = rules.failures(Path(folder))
    untested = rules.Untested.among(rules.CASES).rules
    count = len(rules.RULES) if problems else len(untested)
    mark = at_most(0, problems[:300] or ", ".join(untested))
    alerts = len(rules.ALERTS)
    spread = f"{alerts} alerts and {len(rules.RULES) - alerts} recording rules, {len(rules.CASES)} cases by promtool"
    return [Figure("alert rules without a firing and a silent test", count, mark, f"{_COMMAND} alerting", spread)]


def refusals() -> list[Figure]:
    """Combinations whose pods our own quota would refuse at the autoscalers' maximum."""
    chosen = [*combinations(1, 2, len(COMPONENTS)), *NESTED]
    lines = _over(chosen, lambda folder, name, parts: quotas.refused(combine(folder, name, parts)))
    mark = at_most(0, "; ".join(lines[:3]))
    name, spread = "combinations refused by our own quotas", f"{len(chosen)} combinations"
    return [Figure(name, len(lines), mark, f"{_COMMAND} refusals", spread)]


def second_cell() -> list[Figure]:
    """Places in a second cell that name the namespace of the first one."""
    chosen = [*combinations(1, len(COMPONENTS))]

    def references(folder: Path, name: str, parts: tuple[str, ...]) -> list[str]:
        manifests: list[Manifest] = cells.cell(folder, name, parts)
        return cells.references(manifests)

    lines = _over(chosen, references)
    mark = at_most(0, "; ".join(lines[:3]))
    name, spread = "second cell's references to the first", f"{len(chosen)} renderings"
    return [Figure(name, len(lines), mark, f"{_COMMAND} second-cell", spread)]


def _over(
    chosen: list[tuple[str, tuple[str, ...]]], look: Callable[[Path, str, tuple[str, ...]], list[str]]
) -> list[str]:
    """One line for each combination in which something is wrong."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, parts) in enumerate(chosen):
            if problems := look(Path(folder) / str(number), name, parts):
                lines.append(f"{name} {' '.join(parts)}: {', '.join(problems)}")
    return lines
