"""Counts scheduler configs that are neither served as diffusers computes them nor refused by name."""

from __future__ import annotations

from collections import Counter

from bench.figures import Figure, at_most
from tests.orchestrator.sampler import scheduler_configs

NAME = "scheduler configs (classes × options) neither equal to diffusers within 1e-5 nor refused by name"


def figures(command: str) -> list[Figure]:
    """Judges every config."""
    verdicts = [scheduler_configs.judge(config, pipeline) for config, pipeline in scheduler_configs.configs()]
    wrong = [verdict for verdict in verdicts if verdict.problem]
    served = [verdict for verdict in verdicts if verdict.differences]
    worst = max(value for verdict in served for value in verdict.differences.values())
    trajectories = len(scheduler_configs.STEPS) * sum(len(verdict.differences) for verdict in served)
    classes = Counter(str(verdict.config["_class_name"]) for verdict in verdicts)
    spread = (
        f"{len(verdicts)} configs of {len(classes)} classes: {len(served)} served, in {trajectories} trajectories of "
        f"{' and '.join(map(str, scheduler_configs.STEPS))} steps, largest difference {worst:.0e}; the others refused"
    )
    reasons = "; ".join(f"{dict(verdict.config)}: {verdict.problem}" for verdict in wrong[:3])
    return [Figure(NAME, len(wrong), at_most(0, reasons), command, spread)]
