"""Markdown tables of measurements without marks: sweeps, replicas, configs, row savers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench import figures
from bench.arms.served import REPOSITORY
from bench.emulated.costs import COSTS
from bench.goodput import ARMS, FACTORS, MARKED, Sweep, rates
from bench.measure import replicas, sweep
from bench.rounds import load
from bench.tune import Trial, proposal, read, trials_by_model


def replicas_table(_: str = "") -> str:
    """Throughput, latency, use and batches of emulated replicas."""
    lines = [
        "| engine (emulated) | replicas | pictures a second | median latency, s | replicas busy | rows an execution |",
        "|---|---|---|---|---|---|",
    ]
    rounds = load("replicas", replicas.Round)
    for kind in COSTS if rounds else ():
        for count in rounds[0].engines[kind]:
            uses = [one.engines[kind][count] for one in rounds]
            throughput = statistics.median(use.throughput for use in uses)
            latency_s = statistics.median(use.median_s for use in uses)
            busy = statistics.median(use.busy for use in uses)
            rows = statistics.median(use.rows_per_execution for use in uses)
            lines.append(f"| {kind} | {count} | {throughput:.2f} | {latency_s:.2f} | {busy:.0%} | {rows:.1f} |")
    return "\n".join(lines) + "\n"


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


def sweeps_by_engine(kinds: Mapping[str, str] = _LENGTHS) -> dict[str, list[Sweep]]:
    """The Poisson sweeps on disk, by engine and lengths; `kinds` gives the part of their files' names for each."""
    sweeps: dict[str, list[Sweep]] = {}
    for lengths, suffix in kinds.items():
        sweeps[f"CPU, {lengths}"] = [one.engines[sweep.CPU] for one in load(f"poisson{suffix}", sweep.Round)]
        rounds = load(f"poisson{suffix}-emulated", sweep.Round)
        for kind in COSTS:
            sweeps[f"emulated {kind}, {lengths}"] = [one.engines[kind] for one in rounds]
    return {engine: some for engine, some in sweeps.items() if some}


def tuning_table(_: str = "") -> str:
    """By model: the served config, and the proposal of the sweep."""
    lines = [
        "| model | served | ms | rows/s | proposed | ms | rows/s | best rows/s of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, trials in trials_by_model().items():
        cells = [*_cells(_as_served(model, trials)), *_cells(proposal(trials))]
        cells.append(f"{max(trial.step.rows_s for trial in trials):.1f}")
        lines.append(f"| `{model}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cells(trial: Trial | None) -> tuple[str, str, str]:
    if trial is None:
        return "", "", ""
    calls = f", {trial.step.rows_per_call} rows a call" if trial.model.startswith("denoiser") else ""
    return f"{trial.config}{calls}", f"{trial.step.lone_ms:.1f}", f"{trial.step.rows_s:.1f}"


def _as_served(model: str, trials: Sequence[Trial]) -> Trial | None:
    """The trial of the served config, with a step's rows in one call; its batch cap may not have been tried."""
    served = read((REPOSITORY / model / "config.pbtxt").read_text())
    same = (served.instances, served.threads, served.row_workers, served.delay_us)
    fitting = [trial for trial in trials if (*trial.shape[:3], trial.config.delay_us) == same]
    return max(
        fitting,
        key=lambda trial: (trial.config.max_batch == served.max_batch, trial.step.rows_per_call),
        default=None,
    )


def savers_table(_: str = "") -> str:
    """What options of a request save, and what they cost by the reward model's scores."""
    end, lines = ": row-steps saved", ["| option | row-steps saved | reward of what comes back |", "|---|---|---|"]
    rows = [row for row in figures.load(figures.detail("performance")) if row["name"].endswith(end)]
    lines += [f"| {row['name'].removesuffix(end)} | {row['value']:.1%} | {row['spread']} |" for row in rows]
    return "\n".join(lines) + "\n"


def shapes_table(model: str) -> str:
    """The best of each number of instances and threads, by how a step is sent."""
    lines = ["| instances × threads × row workers | rows a call | lone step, ms | rows/s |", "|---|---|---|---|"]
    trials = trials_by_model().get(model, [])
    for shape in sorted({trial.shape for trial in trials}):
        best = max((trial for trial in trials if trial.shape == shape), key=lambda trial: trial.step.rows_s).step
        *copies, rows = shape
        cells = (" × ".join(map(str, copies)), str(rows), f"{best.lone_ms:.1f}", f"{best.rows_s:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
