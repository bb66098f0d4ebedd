"""Draws the plots of README and docs from the rounds in bench/results.

usage: python -m bench.plots
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from bench.emulated.costs import COSTS
from bench.figures import ROOT
from bench.goodput import ARMS, MARKED, shares
from bench.measure import replicas as replicas_measurement
from bench.measure import throughput as throughput_measurement
from bench.report import sweeps_by_engine
from bench.rounds import load
from bench.tune import trials_by_model

FOLDER = ROOT / "docs" / "images" / "performance"
COLOURS = {
    "backdrop": "#0b6e4f", "monolith": "#c1666b", "inprocess": "#5b7db1", "inprocess×2": "#8fa9d0",
    "diffusers": "#b0a990",
}  # fmt: skip


def throughput(file: Path) -> bool:
    """Pictures a second by arm: medians, and the range over the rounds."""
    rounds = load("throughput", throughput_measurement.Round)
    arms = [arm for arm in COLOURS if all(arm in one.pictures_s for one in rounds)]
    if not rounds:
        return False
    figure, axes = plt.subplots(figsize=(6, 2.6))
    for place, arm in enumerate(arms):
        rates = [one.pictures_s[arm] for one in rounds]
        middle = statistics.median(rates)
        axes.barh(place, middle, color=COLOURS[arm], xerr=[[middle - min(rates)], [max(rates) - middle]], capsize=3)
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set_xlabel("pictures a second at 16 concurrent requests, 2 cores")
    _save(figure, file)
    return True


def poisson(file: Path) -> bool:
    """The share of requests answered within twice the solo latency, by load, on each engine."""
    panels = sweeps_by_engine()
    if not panels:
        return False
    across = len(COSTS) + 1
    down = -(-len(panels) // across)
    figure, every = plt.subplots(down, across, figsize=(3.2 * across, 2.6 * down), sharey=True, squeeze=False)
    for axes, (title, sweeps) in zip(every.flat, panels.items(), strict=False):
        for arm in ARMS:
            by_load = shares(sweeps, arm, MARKED)
            axes.plot(list(by_load), list(by_load.values()), "o-", color=COLOURS[arm], label=arm, markersize=3)
        axes.axhline(0.9, color="grey", linewidth=0.7, linestyle=":")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("load: rate × solo latency", fontsize=8)
    every[0][0].set_ylabel(f"within {MARKED:g}× solo", fontsize=8)
    every[0][0].legend(fontsize=8)
    figure.tight_layout()
    _save(figure, file)
    return True


def replicas(file: Path) -> bool:
    """Throughput over one replica's, by replicas, for each emulated cost."""
    rounds = load("replicas", replicas_measurement.Round)
    if not rounds:
        return False
    figure, axes = plt.subplots(figsize=(4.2, 3))
    for kind, colour in zip(COSTS, ("#0b6e4f", "#c1666b"), strict=True):
        counts = list(rounds[0].engines[kind])
        medians = {n: statistics.median(one.engines[kind][n].throughput for one in rounds) for n in counts}
        middle = [medians[count] / medians[1] for count in counts]
        axes.plot(counts, middle, "o-", color=colour, label=f"emulated, {kind}")
    axes.plot([1, 8], [1, 8], color="grey", linewidth=0.7, linestyle=":", label="ideal")
    axes.set_xlabel("replicas")
    axes.set_ylabel("throughput over one replica's")
    axes.legend(fontsize=8)
    _save(figure, file)
    return True


def tuning(file: Path) -> bool:
    """Every config of the denoiser that was tried: lone step and rows a second."""
    trials = trials_by_model().get("denoiser", [])
    if not trials:
        return False
    figure, axes = plt.subplots(figsize=(8, 3.6))
    colours: dict[tuple[int, ...], str] = {}
    for shape in sorted({trial.shape for trial in trials}):
        steps = [trial.step for trial in trials if trial.shape == shape]
        *copies, rows = shape
        colour = colours.setdefault(tuple(copies), f"C{len(colours)}")
        label = f"{' × '.join(map(str, copies))}, {rows} row{'s' if rows > 1 else ''} a call"
        points = [step.lone_ms for step in steps], [step.rows_s for step in steps]
        axes.scatter(*points, label=label, s=18, color=colour, marker="o" if rows > 1 else "x")
    axes.set_xlabel("one guided step, nothing else running, ms")
    axes.set_ylabel("rows a second, 8 callers")
    title = "instances × threads × row workers"
    axes.legend(fontsize=7, title=title, title_fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    _save(figure, file)
    return True


PLOTS: dict[str, Callable[[Path], bool]] = {
    "throughput": throughput,
    "poisson": poisson,
    "replicas": replicas,
    "tuning": tuning,
}


def _save(figure: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    # Without the date, the same data make the same file.
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main() -> int:
    """Draws every plot that has data."""
    for name, draw in PLOTS.items():
        drawn = draw(FOLDER / f"{name}.png")
        sys.stdout.write(f"{name}: {'drawn' if drawn else 'nothing measured yet'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
