"""Served pictures compared with those of diffusers' own pipelines, and the keys of configs that nobody decided."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.figures import Figure, at_least, at_most
from tests.export.keys import signatures
from tests.export.oracle import cases
from tests.export.oracle.served import Comparison, by_cluster, compare, oracle

WORK = "BACKDROP_ORACLE"
"""Variable with a folder whose folders and repository are taken as they are, and kept."""
console = Console(stderr=True, highlight=False)


def pictures(command: str) -> list[Figure]:
    """Exports the four families, serves them, and compares every case."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(os.environ.get(WORK) or temporary)
        comparisons = []
        with oracle(work) as client:
            for case in cases.cases():
                comparisons.append(compare(by_cluster(client), work, case))
                console.print(f"  {case}: {comparisons[-1].psnr:.1f} dB, at most {comparisons[-1].largest}")
    default = [each for each in comparisons if each.case.default]
    soft = [each for each in comparisons if each.case.soft]
    others = [each for each in comparisons if not (each.case.default or each.case.soft)]
    name = "served pictures against diffusers' own pipeline"
    softly = f"{name}, soft and elliptic masks, style picture, LoRAs of four layouts: lowest PSNR, dB"
    largest = max(each.largest for each in default)
    spread = f"{', '.join(each.case.family for each in default)}; fp32"
    return [
        lowest(f"{name}, default requests, fp32: lowest PSNR, dB", default, 60, command),
        Figure(f"{name}, default requests, fp32: largest difference", largest, at_most(2), command, spread),
        lowest(softly, soft, 50, command),
        lowest(f"{name}, hard masks, negative prompts, guidance and solvers: lowest PSNR, dB", others, 50, command),
    ]


def lowest(name: str, comparisons: Sequence[Comparison], least: float, command: str) -> Figure:
    """The lowest PSNR of some cases."""
    worst = min(comparisons, key=lambda each: each.psnr)
    below = [f"{each.case} {each.psnr:.1f}" for each in comparisons if each.psnr < least]
    spread = f"{len(comparisons)} requests, lowest: {worst.case}"
    return Figure(name, round(worst.psnr, 1), at_least(least, ", ".join(below)), command, spread)


def keys(command: str) -> list[Figure]:
    """Counts the keys of the installed classes that no table has."""
    missing, count = signatures.undecided()
    name = "config keys of the four families that are neither read, nor listed as without effect, nor refused"
    spread = f"{count} keys of {len(signatures.tables())} classes of diffusers and transformers"
    return [Figure(name, len(missing), at_most(0, ", ".join(missing[:5])), command, spread)]
