"""Draws what the rounds in bench/results say, for README and docs.

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
from bench.measure.sweep import ARMS, MARKED, shares
from bench.report import sweeps_by_engine
from bench.rounds import load, values
from bench.tune import shape_of, trials

FOLDER = ROOT / "docs" / "images" / "performance"
COLOURS = {
    "backdrop": "#0b6e4f", "monolith": "#c1666b", "inprocess": "#5b7db1", "inprocess×2": "#8fa9d0",
    "diffusers": "#b0a990",
}  # fmt: skip


def throughput(file: Path) -> bool:
    """Pictures a second by arm: medians, and the range over the rounds."""
    rounds = load("throughput")
    arms = [arm for arm in COLOURS if all(arm in one for one in rounds)]
    if not rounds:
        return False
    figure, axes = plt.subplots(figsize=(6, 2.6))
    for place, arm in enumerate(arms):
        found = values(rounds, arm)
        middle = statistics.median(found)
        axes.barh(place, middle, color=COLOURS[arm], xerr=[[middle - min(found)], [max(found) - middle]], capsize=3)
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
    rounds = load("replicas")
    if not rounds:
        return False
    figure, axes = plt.subplots(figsize=(4.2, 3))
    for kind, colour in zip(COSTS, ("#0b6e4f", "#c1666b"), strict=True):
        counts = list(rounds[0][kind])
        one = statistics.median(values(rounds, kind, "1", "throughput"))
        middle = [statistics.median(values(rounds, kind, count, "throughput")) / one for count in counts]
        axes.plot([int(count) for count in counts], middle, "o-", color=colour, label=f"emulated, {kind}")
    axes.plot([1, 8], [1, 8], color="grey", linewidth=0.7, linestyle=":", label="ideal")
    axes.set_xlabel("replicas")
    axes.set_ylabel("throughput over one replica's")
    axes.legend(fontsize=8)
    _save(figure, file)
    return True


def tuning(file: Path) -> bool:
    """Every config of the denoiser that was tried: lone step against rows a second."""
    found = trials().get("denoiser", [])
    if not found:
        return False
    figure, axes = plt.subplots(figsize=(8, 3.6))
    colours: dict[tuple[int, ...], str] = {}
    for shape in sorted({shape_of(one) for one in found}):
        some = [one for one in found if shape_of(one) == shape]
        *copies, rows = shape
        colour = colours.setdefault(tuple(copies), f"C{len(colours)}")
        label = f"{' × '.join(map(str, copies))}, {rows} row{'s' if rows > 1 else ''} a call"
        points = [one["lone_ms"] for one in some], [one["rows_s"] for one in some]
        axes.scatter(*points, label=label, s=18, color=colour, marker="o" if rows > 1 else "x")
    axes.set_xlabel("one guided step, nobody else, ms")
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
    """Draws every plot that there is data for."""
    for name, draw in PLOTS.items():
        drawn = draw(FOLDER / f"{name}.png")
        sys.stdout.write(f"{name}: {'drawn' if drawn else 'nothing measured yet'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
