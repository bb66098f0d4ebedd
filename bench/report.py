"""Markdown tables of what the rounds in bench/results hold beside the figures: sweeps, replicas, configs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping

from bench.emulated.costs import COSTS
from bench.measure.sweep import ARMS, FACTORS, MARKED, rates
from bench.rounds import Round, load, values
from bench.tune import proposal, shape_of
from bench.tuning import Config


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
        "| model | proposed | rows a call | lone step, ms | rows/s | best rows/s of all |",
        "|---|---|---|---|---|---|",
    ]
    found = load("tune")
    for model in dict.fromkeys(one["model"] for one in found):
        tried = [one for one in found if one["model"] == model]
        best, most = proposal(tried), max(one["rows_s"] for one in tried)
        config = str(Config(*(best[field.name] for field in dataclasses.fields(Config))))
        cells = (config, best["rows_a_call"], f"{best['lone_ms']:.1f}", f"{best['rows_s']:.1f}", f"{most:.1f}")
        lines.append(f"| `{model}` | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def shapes_table(model: str) -> str:
    """The best of each number of instances and threads, by how a step is sent."""
    lines = ["| instances × threads × row workers | rows a call | lone step, ms | rows/s |", "|---|---|---|---|"]
    found = [one for one in load("tune") if one["model"] == model]
    for shape in sorted({shape_of(one) for one in found}):
        best = max((one for one in found if shape_of(one) == shape), key=lambda one: float(one["rows_s"]))
        *copies, rows = shape
        cells = (" × ".join(map(str, copies)), str(rows), f"{best['lone_ms']:.1f}", f"{best['rows_s']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
