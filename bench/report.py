"""Markdown tables of what is measured beside the marks: sweeps, replicas, configs, row savers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench import figures
from bench.arms.served import REPOSITORY
from bench.emulated.costs import COSTS
from bench.measure.sweep import ARMS, FACTORS, MARKED, rates
from bench.rounds import Round, load, values
from bench.tune import config_of, proposal, shape_of, trials
from bench.tuning import read


def replicas_table(_: str = "") -> str:
    """Throughput, latency, use and batches of emulated replicas."""
    lines = [
        "| engine (emulated) | replicas | pictures a second | median latency, s | replicas busy | rows an execution |",
        "|---|---|---|---|---|---|",
    ]
    rounds = load("replicas")
    for kind in COSTS if rounds else ():
        for count in rounds[0][kind]:
            cells = (statistics.median(values(rounds, kind, count, key)) for key in _COLUMNS)
            rate, latency_s, busy, rows = cells
            lines.append(f"| {kind} | {count} | {rate:.2f} | {latency_s:.2f} | {busy:.0%} | {rows:.1f} |")
    return "\n".join(lines) + "\n"


_COLUMNS = ("throughput", "median_s", "busy", "rows_an_execution")


def sweep_table(_: str = "") -> str:
    """The highest loads with 90 % of requests in time, by engine, arm and SLO factor, of all rounds together.

    Factors above the mark's are of runs with such a deadline.
    """
    head = " | ".join(f"{factor:g}×" for factor in FACTORS)
    lines = [f"| engine | arm | {head} |", "|---|---|" + "---|" * len(FACTORS)]
    patient = sweeps_by_engine({"equal lengths": "-patient"})
    for engine, sweeps in sweeps_by_engine().items():
        for arm in ARMS:
            cells = []
            for factor in FACTORS:
                some = sweeps if factor <= MARKED else patient.get(engine, [])
                cells.append(f"{rates(some, factor)[arm]:.2f}" if some else "")
            lines.append(f"| {engine} | `{arm}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_LENGTHS = {"equal lengths": "", "mixed lengths": "-mixed"}


def sweeps_by_engine(kinds: Mapping[str, str] = _LENGTHS) -> dict[str, list[Round]]:
    """The Poisson sweeps there are, by engine and lengths; `kinds` has what the names of their files have in them."""
    found: dict[str, list[Round]] = {}
    for lengths, suffix in kinds.items():
        found[f"CPU, {lengths}"] = load(f"poisson{suffix}")
        for kind in COSTS:
            found[f"emulated {kind}, {lengths}"] = [one[kind] for one in load(f"poisson{suffix}-emulated")]
    return {engine: sweeps for engine, sweeps in found.items() if sweeps}


def tuning_table(_: str = "") -> str:
    """By model: what is served now, and what the sweep proposes."""
    lines = [
        "| model | served | ms | rows/s | proposed | ms | rows/s | best rows/s of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, tried in trials().items():
        cells = [*_tried(_as_served(model, tried)), *_tried(proposal(tried))]
        cells.append(f"{max(one['rows_s'] for one in tried):.1f}")
        lines.append(f"| `{model}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _tried(one: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if one is None:
        return "", "", ""
    calls = f", {one['rows_a_call']} rows a call" if one["model"].startswith("denoiser") else ""
    return f"{config_of(one)}{calls}", f"{one['lone_ms']:.1f}", f"{one['rows_s']:.1f}"


def _as_served(model: str, tried: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The trial of the served config, with a step's rows in one call; its batch cap may be another than was tried."""
    now = read((REPOSITORY / model / "config.pbtxt").read_text())
    same = (now.instances, now.threads, now.row_workers, now.delay_us)
    fitting = [one for one in tried if (*shape_of(one)[:3], one["delay_us"]) == same]
    return max(fitting, key=lambda one: (one["max_batch"] == now.max_batch, one["rows_a_call"]), default=None)


def savers_table(_: str = "") -> str:
    """What options of a request save, and what they cost by the reward model's word."""
    end, lines = ": row-steps saved", ["| option | row-steps saved | reward of what comes back |", "|---|---|---|"]
    rows = [row for row in figures.load(figures.detail("performance")) if row["name"].endswith(end)]
    lines += [f"| {row['name'].removesuffix(end)} | {row['value']:.1%} | {row['spread']} |" for row in rows]
    return "\n".join(lines) + "\n"


def shapes_table(model: str) -> str:
    """The best of each number of instances and threads, by how a step is sent."""
    lines = ["| instances × threads × row workers | rows a call | lone step, ms | rows/s |", "|---|---|---|---|"]
    found = trials().get(model, [])
    for shape in sorted({shape_of(one) for one in found}):
        best = max((one for one in found if shape_of(one) == shape), key=lambda one: float(one["rows_s"]))
        *copies, rows = shape
        cells = (" × ".join(map(str, copies)), str(rows), f"{best['lone_ms']:.1f}", f"{best['rows_s']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
