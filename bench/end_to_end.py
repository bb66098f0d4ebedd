"""Measures the marks of the whole path on one machine and writes them to docs/figures/end_to_end.json.

usage: python -m bench.end_to_end [NAME …]        (default: every check)
"""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backdrop import Background, Client
from bench import checks, leftovers, refusals
from bench.figures import ROOT, Figure, at_least, at_most
from bench.measure import exactness
from local.cluster import Cluster, Options
from tests import test_architecture
from tests.orchestrator.sampler import against_diffusers

AREA = "end_to_end"
DEMO_RUNS = 5


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
                Background(ROOT / "examples" / "product.png"),
                prompt="a beach at sunset",
                variants=4,
                top_k=2,
                seed=seed,
            ).result()
            seconds.append(time.monotonic() - begin)
    spread = f"{min(seconds):.1f}–{max(seconds):.1f} s over {DEMO_RUNS} runs"
    value = round(float(np.median(seconds)), 2)
    return [Figure("demo: seconds for 4 variants, top 2", value, at_most(60), command("demo"), spread)]


def preservation(endpoint: str) -> list[Figure]:
    """Largest difference inside the opaque product, recomputed from the bytes over many sizes and placements."""
    worst, disagreements, cases = asyncio.run(exactness.worst_product_difference(endpoint))
    spread, again = f"{cases} pictures", command("preservation")
    return [
        Figure("largest difference inside the product, hard masks, PNG", worst, at_most(0), again, spread),
        Figure("receipts that say otherwise", disagreements, at_most(0), again, spread),
    ]


def determinism(endpoint: str) -> list[Figure]:
    """Pictures whose bytes change among other requests, or when their seed is sent alone."""
    changed, compared = asyncio.run(exactness.changed_pictures(endpoint))
    name = "pictures that differ: alone, among 8, by their seed"
    return [Figure(name, changed, at_most(0), command("determinism"), f"{compared} pictures compared")]


def solvers() -> list[Figure]:
    """The worst solver against diffusers, over whole trajectories and every configuration offered."""
    stock, where, count = against_diffusers.worst_difference()
    with against_diffusers.correctly_rounded():
        rounded, _, _ = against_diffusers.worst_difference(clean=True)
    name = "largest difference of a solver from diffusers"
    return [
        Figure(name, float(stock), at_most(1e-5), command("solvers"), f"worst of {count} trajectories: {where}"),
        Figure(f"{name}, torch's square roots rounded correctly", float(rounded), at_most(1e-5), command("solvers")),
    ]


def torch(endpoint: str) -> list[Figure]:
    """The cluster's pictures against torch modules run directly."""
    from bench import torch_reference  # torch, only where it is used

    by_pipeline = torch_reference.differences(endpoint, torch_reference.compared_requests())
    worst = max(value for values in by_pipeline.values() for value in values)
    spread = ", ".join(f"{name} {values}" for name, values in by_pipeline.items())
    name = "largest difference from torch modules, in 8-bit steps"
    return [Figure(name, worst, at_most(2), command("torch"), spread)]


def bad_input(endpoint: str) -> list[Figure]:
    """Bad requests that get another status or field than the contract says."""
    wrong, sent = asyncio.run(refusals.wrong_refusals(endpoint))
    mark = at_most(0, "; ".join(wrong))
    return [Figure("bad requests with a wrong status or field", len(wrong), mark, command("bad-input"), f"{sent} sent")]


def sigkill() -> list[Figure]:
    """Processes and shared-memory regions left half a minute after the launcher of a whole cluster was killed."""
    leftover, seconds = leftovers.after_sigkill(30.0)
    name, mark = "processes and regions left after SIGKILL of the launcher", at_most(0, "; ".join(leftover))
    return [Figure(name, len(leftover), mark, command("sigkill"), f"all gone after {seconds:.1f} s")]


def directions() -> list[Figure]:
    """Imports against the design's directions."""
    count = len(test_architecture.violations())
    return [Figure("imports against the design's directions", count, at_most(0), command("directions"))]


def scenes() -> list[Figure]:
    """The scenes that a classifier, trained on rendered pictures alone, recognises in generated ones."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "models.json"
        evaluate = ["-m", "training.evaluation", "--only", "scenes", "--figures", str(figures)]
        subprocess.run([sys.executable, *evaluate], cwd=ROOT, check=True)
        rows = {row["name"]: row for row in json.loads(figures.read_text())}
    share = rows["asked-for scene recognised, backdrop"]["value"]
    return [Figure("asked-for scene recognised in generated pictures", share, at_least(0.60), command("scenes"))]


WITH_CLUSTER: dict[str, Callable[[str], list[Figure]]] = {
    "demo": demo,
    "preservation": preservation,
    "determinism": determinism,
    "torch": torch,
    "bad-input": bad_input,
}
WITHOUT_CLUSTER: dict[str, checks.Check] = {
    "solvers": solvers,
    "sigkill": sigkill,
    "directions": directions,
    "scenes": scenes,
}


def main() -> int:
    """Measures the named marks; the exit status is 1 when one is missed."""
    every = [*WITH_CLUSTER, *WITHOUT_CLUSTER]
    names = checks.parse_names("python -m bench.end_to_end", __doc__, every, every)
    missed = 0
    if clustered := [name for name in names if name in WITH_CLUSTER]:
        with tempfile.TemporaryDirectory() as logs, Cluster(Options(port=0, log_folder=Path(logs))) as cluster:
            endpoint = cluster.endpoints.orchestrator
            missed |= checks.run(
                AREA, clustered, {name: functools.partial(WITH_CLUSTER[name], endpoint) for name in clustered}
            )
    return missed | checks.run(AREA, [name for name in names if name in WITHOUT_CLUSTER], WITHOUT_CLUSTER)


if __name__ == "__main__":
    sys.exit(main())
