"""Marks of the images: those that can be built here are built and run, and a picture is made through them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.checks import console
from bench.figures import Figure, at_least, at_most
from tests.k8s.images import plan, trial


def images(command: str) -> list[Figure]:
    """No figures on a machine without the programs, and the reason in words."""
    if reason := plan.missing():
        console.print(f"  skipped: {reason}", markup=False, soft_wrap=True)
        return []
    with tempfile.TemporaryDirectory(prefix="backdrop-images-") as folder:
        return figures(trial.attempt(Path(folder)), command)


def figures(report: trial.Report, command: str) -> list[Figure]:
    """The report's rows; what cannot be built is named in the first one."""
    wrong = {name: words for name, words in report.problems.items() if words}
    for name, reason in report.obstacles.items():
        console.print(f"  not built: {name}: {reason}", markup=False, soft_wrap=True)
    spread = f"{', '.join(report.built)}, on Debian's Python, with a read-only root"
    if report.obstacles:
        spread += "; not built: " + "; ".join(f"{name}, {reason}" for name, reason in report.obstacles.items())
    problems = "; ".join(f"{name}: {problem}" for name, words in wrong.items() for problem in words)
    way = "models published by one container, picture made by the other, its receipt exact; Triton and Redis are local"
    name = "images that can be built here and were not built and run"
    return [
        Figure(name, len(wrong), at_most(0, problems), command, spread),
        Figure("a picture through containers (1 = yes)", int(report.picture), at_least(1, problems), command, way),
    ]
