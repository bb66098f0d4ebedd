"""Measures the marks of the whole path on one machine and writes them to docs/figures/end_to_end.json.

usage: python -m bench.end_to_end [MARK …]        (default: every mark but `suite`, which runs all the tests)
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console

from backdrop import Client
from bench import exactness, leftovers, refusals
from bench.figures import ROOT, Figure, record
from local.cluster import Cluster, Options
from tests import test_architecture
from tests.orchestrator.sampler import against_diffusers

AREA = "end_to_end"
DEMO_RUNS = 5
console = Console()


@dataclasses.dataclass(frozen=True)
class Mark:
    """How one mark is measured; `measure` gets the endpoint of a running cluster when it `needs_cluster`."""

    measure: Callable[[str], list[Figure]]
    needs_cluster: bool = True


def command(name: str) -> str:
    """What measures the mark again."""
    return f"python -m bench.end_to_end {name}"


def demo(endpoint: str) -> list[Figure]:
    """The demo's generation: 4 variants, top 2, of the sample product; the cluster runs already."""
    seconds = []
    with Client(endpoint, timeout_s=300) as client:
        for seed in range(DEMO_RUNS):
            begin = time.monotonic()
            client.generate(
                ROOT / "examples" / "product.png", prompt="a beach at sunset", variants=4, top_k=2, seed=seed
            ).result()
            seconds.append(time.monotonic() - begin)
    spread = f"{min(seconds):.1f}–{max(seconds):.1f} s over {DEMO_RUNS} runs"
    value = round(float(np.median(seconds)), 2)
    return [Figure("demo: seconds for 4 variants, top 2", value, 60, "lower", command("demo"), spread)]


def preservation(endpoint: str) -> list[Figure]:
    """Largest difference inside the opaque product, recomputed from the bytes over many sizes and placements."""
    worst, disagreements, cases = asyncio.run(exactness.worst_product_difference(endpoint))
    spread, again = f"{cases} pictures", command("preservation")
    return [
        Figure("largest difference inside the product, hard masks, PNG", worst, 0, "lower", again, spread),
        Figure("receipts that say otherwise", disagreements, 0, "lower", again, spread),
    ]


def determinism(endpoint: str) -> list[Figure]:
    """Pictures whose bytes change in company, or when their seed is sent alone."""
    changed, compared = asyncio.run(exactness.changed_pictures(endpoint))
    name = "pictures that differ: alone, among 8, by their seed"
    return [Figure(name, changed, 0, "lower", command("determinism"), f"{compared} pictures compared")]


def solvers(_endpoint: str) -> list[Figure]:
    """The worst solver against diffusers, over whole trajectories and every configuration offered."""
    stock, where, count = against_diffusers.worst_difference()
    with against_diffusers.correctly_rounded():
        rounded, _, _ = against_diffusers.worst_difference(clean=True)
    name = "largest difference of a solver from diffusers"
    return [
        Figure(name, float(stock), 1e-5, "lower", command("solvers"), f"worst of {count} trajectories: {where}"),
        Figure(f"{name}, torch's square roots rounded correctly", float(rounded), 1e-5, "lower", command("solvers")),
    ]


def torch(endpoint: str) -> list[Figure]:
    """The cluster's pictures against torch modules run directly."""
    from bench import against_torch  # torch, only where it is used

    found = against_torch.differences(endpoint, against_torch.orders())
    worst = max(value for values in found.values() for value in values)
    spread = ", ".join(f"{name} {values}" for name, values in found.items())
    return [
        Figure("largest difference from torch modules, in 8-bit steps", worst, 2, "lower", command("torch"), spread)
    ]


def bad_input(endpoint: str) -> list[Figure]:
    """Bad requests that get another status or field than the contract says."""
    wrong, sent = asyncio.run(refusals.wrong_refusals(endpoint))
    for line in wrong:
        console.print(f"  wrong: {line}")
    return [
        Figure(
            "bad requests with a wrong status or field", len(wrong), 0, "lower", command("bad-input"), f"{sent} sent"
        )
    ]


def sigkill(_endpoint: str) -> list[Figure]:
    """Processes and shared-memory regions left half a minute after the launcher of a whole cluster was killed."""
    left, seconds = leftovers.after_sigkill(30.0)
    for line in left:
        console.print(f"  left: {line}")
    name = "processes and regions left after SIGKILL of the launcher"
    return [Figure(name, len(left), 0, "lower", command("sigkill"), f"all gone after {seconds:.1f} s")]


def directions(_endpoint: str) -> list[Figure]:
    """Imports against the design's directions."""
    found = len(test_architecture.violations())
    return [Figure("imports against the design's directions", found, 0, "lower", command("directions"))]


def suite(_endpoint: str) -> list[Figure]:
    """Wall time of the whole suite."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "pytest"], cwd=ROOT, check=True)
    minutes = round((time.monotonic() - begin) / 60, 2)
    return [Figure("the whole suite, minutes", minutes, 20, "lower", command("suite"))]


def scenes(_endpoint: str) -> list[Figure]:
    """The scenes that a classifier, trained on rendered pictures alone, recognises in generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "models.json"
        evaluate = ["-m", "training.evaluation", "--only", "scenes", "--figures", str(figures)]
        subprocess.run([sys.executable, *evaluate], cwd=ROOT, check=True)
        rows = {row["name"]: row for row in json.loads(figures.read_text())}
    share = rows["asked-for scene recognised, backdrop"]["value"]
    return [Figure("asked-for scene recognised in generated pictures", share, 0.60, "higher", command("scenes"))]


MARKS = {
    "demo": Mark(demo),
    "preservation": Mark(preservation),
    "determinism": Mark(determinism),
    "torch": Mark(torch),
    "bad-input": Mark(bad_input),
    "solvers": Mark(solvers, needs_cluster=False),
    "sigkill": Mark(sigkill, needs_cluster=False),
    "directions": Mark(directions, needs_cluster=False),
    "scenes": Mark(scenes, needs_cluster=False),
    "suite": Mark(suite, needs_cluster=False),
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.end_to_end", description=__doc__)
    parser.add_argument("marks", nargs="*", help=f"any of {', '.join(MARKS)}")
    names = parser.parse_args().marks or [name for name in MARKS if name != "suite"]
    unknown = sorted(set(names) - set(MARKS))
    if unknown:
        parser.error(f"no mark is called {unknown[0]}; there are {', '.join(MARKS)}")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as logs:
        clustered = [name for name in names if MARKS[name].needs_cluster]
        if clustered:
            with Cluster(Options(port=0, log_folder=Path(logs))) as cluster:
                for name in clustered:
                    figures += _measure(name, cluster.endpoints.orchestrator)
        for name in names:
            if not MARKS[name].needs_cluster:
                figures += _measure(name, "")
    return 0 if all(figure.met for figure in figures) else 1


def _measure(name: str, endpoint: str) -> list[Figure]:
    console.print(f"[bold]{name}[/bold] …")
    figures = MARKS[name].measure(endpoint)
    record(AREA, *figures)
    for figure in figures:
        verdict = "ok" if figure.met else "MISSED"
        console.print(f"  {figure.name}: {figure.value:g} {figure.spread} (mark {figure.mark:g}) {verdict}")
    return figures


if __name__ == "__main__":
    sys.exit(main())
